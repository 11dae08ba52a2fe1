package main

import (
	"context"
	"errors"
)

func runLab(context.Context, stdio, []string) error { return errors.New("lab: not built yet") }
