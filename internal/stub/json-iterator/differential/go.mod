module github.com/json-iterator/go/differential

go 1.26.0

require (
	example.com/original/json-iterator v1.1.12
	github.com/json-iterator/go v0.0.0
)

require (
	github.com/modern-go/concurrent v0.0.0-20180228061459-e0a39a4cb421 // indirect
	github.com/modern-go/reflect2 v1.0.2 // indirect
)

// The original, by a name of its own, so that both can be imported.
replace example.com/original/json-iterator => github.com/json-iterator/go v1.1.12

replace github.com/json-iterator/go => ../
