module github.com/pyruse/pyruse

go 1.25.0
