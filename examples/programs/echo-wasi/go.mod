module echo-wasi

go 1.25

require wasmfaas.example/wasihttp v0.0.0

require go.bytecodealliance.org/pkg v0.2.1 // indirect

replace wasmfaas.example/wasihttp => ../../functions/hello-go/wasihttp
