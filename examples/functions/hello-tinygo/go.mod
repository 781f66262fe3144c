module hello-tinygo

go 1.22

// v2 speaks fermyon:spin/inbound-http, which old and new shims run; v3 makes WASI p3 components.
require github.com/spinframework/spin-go-sdk/v2 v2.2.1

require github.com/julienschmidt/httprouter v1.3.0 // indirect
