// Echoes bodies and one header.
package main

import (
	"io"
	"net/http"
	"os"
)

func main() {
	echo := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Number", r.Header.Get("X-Number"))
		_, _ = w.Write(body)
	}
	_ = http.ListenAndServe("127.0.0.1:"+os.Args[1], http.HandlerFunc(echo))
}
