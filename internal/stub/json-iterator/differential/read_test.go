// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// choices are how the values of a document are read, over and over.
func choices(ops []byte) func(string, int) operation {
	return func(_ string, n int) operation {
		if len(ops) == 0 {
			return skip
		}
		return operation(ops[n%len(ops)]) % operations
	}
}

var (
	// nameless is a field that ends the object for who reads it.
	nameless = regexp.MustCompile(`""\s*:`)
	// exponent is a number that may be beyond what the original can skip, and numberRefused how it says so.
	exponent      = regexp.MustCompile(`[0-9][eE]`)
	numberRefused = regexp.MustCompile(`invalid number|value out of range`)
)

// compare reads doc with both, as the elements of an array, and reports differences other than the known ones.
// It returns whether both have read it to the end.
func compare(t *testing.T, doc []byte, choose func(string, int) operation) bool {
	t.Helper()
	doc = append(append([]byte("["), doc...), ']')
	copied := bytes.Clone(doc)
	got := walk{iterator: ofStandIn(doc), choose: choose}
	want := walk{iterator: ofOriginal(copied), choose: choose}
	outer := func(w *walk) {
		for w.ReadArray() && !w.failed() {
			w.value("")
		}
	}
	outer(&got)
	outer(&want)
	switch {
	case !bytes.Equal(doc, copied):
		t.Fatalf("%q: the input has changed", doc)
	case got.failed() && want.failed():
	case want.failed():
		// The original cannot skip a number that no float64 can hold, though it is one.
		if !exponent.Match(doc) || !numberRefused.MatchString(want.err().Error()) {
			t.Fatalf("%q: the stand-in reads %v, the original fails: %v", doc, got.read, want.err())
		}
	case got.failed():
		// The original does not always notice that a number is too large.
		if tooLarge := strings.Contains(got.err().Error(), "a number beyond"); tooLarge || !readRight(doc, want.read) {
			return false
		}
		t.Fatalf("%q: the original reads %v, the stand-in fails: %v", doc, want.read, got.err())
	case !same(got.read, want.read):
		t.Fatalf("%q: the stand-in reads %q, the original %q", doc, got.read, want.read)
	}
	return !got.failed() && !want.failed()
}

// readRight is whether the original has read doc right: it is JSON, all names could be told from the end of an object, and
// no string was cut off at an escaped quotation mark.
func readRight(doc []byte, read []any) bool {
	if !json.Valid(doc) || nameless.Match(doc) {
		return false
	}
	for _, v := range read {
		if s, ok := v.(string); ok && strings.HasSuffix(s, `\`) {
			return false
		}
	}
	return true
}

func same(got, want []any) bool {
	if len(got) != len(want) {
		return false
	}
	for i, g := range got {
		if g == want[i] {
			continue
		}
		// The original rounds twice.
		a, ok := g.(float32)
		b, is := want[i].(float32)
		if !ok || !is || math.Nextafter32(a, b) != b {
			return false
		}
	}
	return true
}

func FuzzRead(f *testing.F) {
	for _, doc := range documents {
		f.Add([]byte(doc), []byte{byte(readObject), byte(readArray), byte(readString), byte(readFloat64), byte(skip)})
		f.Add([]byte(doc), []byte{byte(skip)})
		for op := range operations {
			f.Add([]byte(doc), []byte{byte(op)})
		}
	}
	f.Fuzz(func(t *testing.T, doc, ops []byte) { compare(t, doc, choices(ops)) })
}

func FuzzOTLP(f *testing.F) {
	f.Add([]byte(request))
	f.Fuzz(func(t *testing.T, doc []byte) { compare(t, doc, asOTLP) })
}

// TestAtTheEnd compares which values leave io.EOF when nothing follows.
func TestAtTheEnd(t *testing.T) {
	t.Parallel()
	for _, doc := range documents {
		for op := range operations {
			choose := choices([]byte{byte(op)})
			got := walk{iterator: ofStandIn([]byte(doc)), choose: choose}
			want := walk{iterator: ofOriginal([]byte(doc)), choose: choose}
			got.value("")
			want.value("")
			if !got.failed() && !want.failed() && ((got.err() == nil) != (want.err() == nil) || !same(got.read, want.read)) {
				t.Errorf("%q by %d: %v, %v; the original: %v, %v", doc, op, got.read, got.err(), want.read, want.err())
			}
		}
	}
}

func TestRandom(t *testing.T) {
	t.Parallel()
	rounds := 5_000
	if testing.Short() {
		rounds = 1_000
	}
	g := &generator{Rand: rand.New(rand.NewPCG(1, 2))}
	whole := 0
	for range rounds {
		g.ops = nil
		doc := g.append(nil, 0)
		if !json.Valid(doc) {
			t.Fatalf("%q is not JSON", doc)
		}
		ops := g.ops
		if compare(t, doc, choices(ops)) {
			whole++
		}
		compare(t, doc, choices([]byte{byte(skip)}))
		for range 3 {
			compare(t, g.mutate(doc), choices(ops))
			compare(t, g.mutate(doc), choices([]byte{byte(skip)}))
			compare(t, g.mutate([]byte(request)), asOTLP)
		}
	}
	// The others have numbers that what reads them does not take, and names that are empty.
	if whole < rounds/2 {
		t.Errorf("only %d of %d documents were read to the end", whole, rounds)
	}
}

// generator makes documents, and what each of their values is to be read as.
type generator struct {
	*rand.Rand
	ops []byte
}

func (g *generator) pick(of ...string) string { return of[g.IntN(len(of))] }

func (g *generator) space(to []byte) []byte {
	return append(to, g.pick("", "", "", "", " ", "\n", "\r\n", "\t", "  ")...)
}

// append appends a value.
func (g *generator) append(to []byte, depth int) []byte {
	to = g.space(to)
	switch kind := g.IntN(10); {
	case kind < 3:
		g.read(readString, readString, readString, readSlice, readFloat64, skip)
		to = g.text(to)
	case kind < 6:
		g.read(readInt32, readUint32, readInt64, readUint64, readFloat32, readFloat64, readFloat64, skip)
		to = g.number(to)
	case kind == 6:
		g.read(readBool, readBool, skip)
		to = append(to, g.pick("true", "false")...)
	case depth > 6:
		g.read(readString, readArray, readObject, skip)
		to = append(to, "null"...)
	default:
		to = g.container(to, depth, kind == 7)
	}
	return g.space(to)
}

func (g *generator) read(as ...operation) { g.ops = append(g.ops, byte(as[g.IntN(len(as))])) }

func (g *generator) container(to []byte, depth int, array bool) []byte {
	brackets, as := "{}", readObject
	if array {
		brackets, as = "[]", readArray
	}
	g.read(as, as, as, skip)
	ops := g.ops
	to = g.space(append(to, brackets[0]))
	for i := range g.IntN(5) {
		if i > 0 {
			to = g.space(append(to, ','))
		}
		if !array {
			to = append(g.space(g.name(to)), ':')
		}
		to = g.append(to, depth+1)
	}
	if operation(ops[len(ops)-1]) == skip {
		g.ops = ops
	}
	return append(to, brackets[1])
}

func (g *generator) name(to []byte) []byte {
	if g.IntN(30) == 0 {
		return g.text(to)
	}
	return append(append(to, `"n`...), g.text(nil)[1:]...)
}

func (g *generator) number(to []byte) []byte {
	switch g.IntN(6) {
	case 0, 1, 2:
		return strconv.AppendInt(to, int64(g.Uint64()>>(33+g.IntN(31))), 10)
	case 3:
		return append(to, g.pick("0", "-0", "4294967295", "4294967296", "-2147483648", "2147483648", "9223372036854775807",
			"-9223372036854775808", "9223372036854775808", "18446744073709551615", "18446744073709551616", "10000000000",
			"0.1", "1e-400", "-0.0", "1E+2", "123456789012345678901234567890", "3.4028235e38", "0.30000000000000004")...)
	case 4:
		return strconv.AppendInt(to, int64(g.Uint64())>>g.IntN(64), 10)
	default:
		if g.IntN(2) == 0 {
			return strconv.AppendFloat(to, g.NormFloat64()*1000, 'f', g.IntN(20), 64)
		}
		f := math.Float64frombits(g.Uint64())
		if math.IsNaN(f) || math.IsInf(f, 0) {
			f = 0
		}
		return strconv.AppendFloat(to, f, 'e', g.IntN(20), 64)
	}
}

func (g *generator) text(to []byte) []byte {
	to = append(to, '"')
	for range g.IntN(1 << g.IntN(6)) {
		switch g.IntN(8) {
		case 0:
			to = append(to, g.pick(`\n`, `\r`, `\t`, `\b`, `\f`, `\/`, `\\`, `\"`, `\u0041`, `\u00e9`, `\u20AC`,
				`\uD83D\uDE00`, `\ud83d`, `\ude00`, `\ud83d\u0041`, `\ud83d\n`, `\ud83d\ud83d\ude00`, `\ufffd`,
				`\u0000`, `\udead\udead`)...)
		case 1:
			to = append(to, g.pick("é", "€", "😀", "\x7f", "\u2028", "\xff", "\xc3", "\xed\xa0\x80")...)
		default:
			to = append(to, g.pick("a", "Z", "0", " ", "/", "service.name", "{", "]", ",", ":", "=")...)
		}
	}
	return append(to, '"')
}

// mutate changes a few bytes.
func (g *generator) mutate(doc []byte) []byte {
	doc = bytes.Clone(doc)
	for range 1 + g.IntN(3) {
		i := g.IntN(len(doc) + 1)
		j := min(len(doc), i+g.IntN(4))
		switch g.IntN(4) {
		case 0:
			doc = append(doc[:i:i], doc[j:]...)
		case 1:
			doc = append(append(doc[:i:i], g.pick("{", "}", "[", "]", ",", ":", `"`, `\`, "n", "null", "t", "-", "0", ".", "e",
				"+", "\x00", "\x1f", " ", "\xff", `\u`, `""`, "1")...), doc[i:]...)
		case 2:
			doc = doc[:i]
		default:
			doc = append(doc[:j:j], doc[i:]...)
		}
	}
	return doc
}
