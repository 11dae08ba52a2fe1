package lab

// A MissingError says what a machine lacks to run the lab.
type MissingError struct {
	What string
	Err  error // nil if there is nothing to add
	hint string
}

// Error says what is missing, and why it is thought so.
func (e *MissingError) Error() string {
	if e.Err != nil {
		return "the lab cannot run: " + e.What + ": " + e.Err.Error()
	}
	return "the lab cannot run: " + e.What
}

// Unwrap returns the reason.
func (e *MissingError) Unwrap() error { return e.Err }

// Hint says what a person can do about it.
func (e *MissingError) Hint() string { return e.hint }
