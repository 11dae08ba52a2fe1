package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"tributary/account"
	"tributary/config"
	"tributary/proto/join"
	"tributary/relay"
)

const accountUsage = `
tributary account list                  [--state DIR]
tributary account add|remove|show NAME  [--state DIR]
tributary account link|qr NAME          [--state DIR] [--advertise HOST] [--port PORT]
tributary account shadowsocks NAME      [--state DIR] [--advertise HOST]

Who may use the relay. A running relay notices changes within a second. A join
link is a secret: anybody who has it can use the account. It names the port for
Shadowsocks that the relay was last started with; shadowsocks prints the ss://
URL of that port for other programs, on a terminal with its QR code for phones.`

func runAccount(_ context.Context, std stdio, args []string) error {
	fs := newFlags("account", accountUsage, std)
	dir := fs.String("state", "", "the relay's state directory (default as the relay's)")
	advertise := fs.String("advertise", "", "host name or address in the join link (default the first public address)")
	port := fs.Uint("port", uint(config.Default().Relay.Listen.Port()), "port in the join link")
	rest, err := parseSome(fs, args)
	if err != nil {
		return err
	}
	if len(rest) == 0 {
		return &usageError{errors.New("account: what to do is missing"), "tributary account --help"}
	}
	verb, names := rest[0], rest[1:]
	if wants := verb != "list"; wants && len(names) != 1 || !wants && len(names) != 0 {
		return &usageError{fmt.Errorf("account %s: want %s", verb, map[bool]string{true: "one NAME", false: "no NAME"}[wants]), "tributary account --help"}
	}
	state, err := stateDir(*dir)
	if err != nil {
		return err
	}
	accounts, err := account.Open(state)
	if err != nil {
		return err
	}
	switch verb {
	case "list":
		t := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "ACCOUNT\tCREATED")
		for _, a := range accounts.List() {
			fmt.Fprintf(t, "%s\t%s\n", a.Name, a.Created.Format("2006-01-02 15:04 MST"))
		}
		return t.Flush()
	case "add":
		if _, err := accounts.Add(names[0]); err != nil {
			return err
		}
		fmt.Fprintf(std.out, "account %s added; its join link: tributary account link %s\n", names[0], names[0])
		return nil
	case "remove":
		return accounts.Remove(names[0])
	case "show":
		a, ok := accounts.Get(names[0])
		if !ok {
			return fmt.Errorf("account %q: %w", names[0], account.ErrUnknown)
		}
		fmt.Fprintf(std.out, "name     %s\ncreated  %s\n", a.Name, a.Created.Format("2006-01-02 15:04 MST"))
		return nil
	case "link", "qr", "shadowsocks":
		if *port == 0 || *port > 65535 {
			return &usageError{fmt.Errorf("account: port %d is not between 1 and 65535", *port), ""}
		}
		l, err := relay.JoinLink(accounts, names[0], state, *advertise, uint16(*port))
		if err != nil {
			return err
		}
		return printLink(std, verb, l)
	}
	return &usageError{fmt.Errorf("account: no command %q", verb), "tributary account --help"}
}

// printLink prints a link for a gateway, or for other programs.
func printLink(std stdio, verb string, l join.Link) error {
	if verb == "shadowsocks" {
		text, err := shadowsocksURL(l)
		if err != nil {
			return fmt.Errorf("account %q: %w", l.Account, err)
		}
		fmt.Fprintln(std.out, text)
		if isTerminal(std.out) {
			printQR(std.out, text)
		}
		return nil
	}
	if verb == "qr" {
		printQR(std.out, l.Text())
		return nil
	}
	fmt.Fprintln(std.out, l.Text())
	return nil
}
