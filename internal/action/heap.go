package action

// due is something that ends at a time, in microseconds since 1970.
type due[T any] struct {
	at   int64
	what T
}

// dueHeap is a binary heap with the earliest end on top.
type dueHeap[T any] []due[T]

func (h *dueHeap[T]) push(at int64, what T) {
	*h = append(*h, due[T]{at, what})
	s := *h
	i := len(s) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if s[parent].at <= at {
			break
		}
		s[i] = s[parent]
		i = parent
	}
	s[i] = due[T]{at, what}
}

// pop removes the earliest; the heap must not be empty.
func (h *dueHeap[T]) pop() due[T] {
	s := *h
	top, last := s[0], s[len(s)-1]
	s[len(s)-1] = due[T]{}
	s = s[:len(s)-1]
	*h = s
	if len(s) == 0 {
		return top
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= len(s) {
			break
		}
		if child+1 < len(s) && s[child+1].at < s[child].at {
			child++
		}
		if s[child].at >= last.at {
			break
		}
		s[i] = s[child]
		i = child
	}
	s[i] = last
	return top
}
