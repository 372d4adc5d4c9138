// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package differential compares the stand-in for json-iterator with the original. It is a module of its own, because
// the original has to be linked under another name.
//
// What both read, they read the same, and they write the same. Of JSON, these are the differences:
//
//   - An integer beyond its type is always an error. The original takes some, as what is left after an overflow.
//   - Skip takes numbers beyond float64, which the original refuses where they have an exponent.
//   - ReadFloat32 rounds once. The original may be off by the last bit.
//   - All arrays and objects together may be nested 10,000 deep. The original counts those in one Skip; in the others it
//     goes as deep as the stack does.
//
// Of what is no JSON, the stand-in takes nothing that the original refuses. It refuses more: an array or object where
// none can begin, or that ends without having begun, null for a field's name or for the end of an array or object, a
// number that something other than white space or punctuation follows, a plus sign after the minus sign, and in Skip
// numbers with a zero or a point in front. After an error it reads nothing, where the original goes on with the next
// byte.
package differential
