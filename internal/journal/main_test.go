package journal_test

import (
	"testing"

	"github.com/pyruse/pyruse/internal/journal/journaltest"
)

func TestMain(m *testing.M) { journaltest.Main(m) }
