// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package jsoniter

// Skip reads a value of any kind, and checks that it is one.
func (iter *Iterator) Skip() {
	const operation = "Skip"
	switch c := iter.nextValue(); c {
	case '"':
		iter.readText(operation)
	case '{':
		for more := iter.open(operation, '}'); more; more = iter.separated(operation, '}') {
			iter.readName(operation)
			iter.Skip()
		}
	case '[':
		for more := iter.open(operation, ']'); more; more = iter.separated(operation, ']') {
			iter.Skip()
		}
	case 't':
		iter.readWord(operation, "true")
	case 'f':
		iter.readWord(operation, "false")
	case 'n':
		iter.readWord(operation, "null")
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		iter.readNumber(operation)
	default:
		iter.unexpected(operation, "a value")
	}
}
