// Package proxytest lets protocols and session loops be tested without sockets and
// without waiting: [Wire] is a stream in memory with a known delay, [Servers] is a
// dialer to such streams, and [TestInbound] is the contract that every inbound
// protocol keeps.
//
// Nothing here starts a goroutine of its own or keeps time but by package time,
// so that all of it works inside a testing/synctest bubble: there a delay costs
// nothing and round trips can be counted exactly.
package proxytest
