//go:build !linux

package main

func topPanics() {}
