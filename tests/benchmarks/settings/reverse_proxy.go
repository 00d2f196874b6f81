// Go's httputil.ReverseProxy with one route to each upstream. Arguments: PORT PLAIN TLS OWN CA TOKEN_FILE
package main

import (
	"crypto/tls"
	"crypto/x509"
	"log"
	"net/http"
	"net/http/httputil"
	"os"
	"strings"
)

func read(path string) []byte {
	text, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	return text
}

func main() {
	port, plain, secure, own := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(read(os.Args[5]))
	transport := &http.Transport{
		MaxIdleConnsPerHost: 256,
		DisableCompression:  true,
		TLSClientConfig:     &tls.Config{RootCAs: authorities},
	}
	authorization := "Bearer " + string(read(os.Args[6]))
	route := func(prefix, scheme, host string) {
		http.Handle(prefix+"/", &httputil.ReverseProxy{
			Director: func(r *http.Request) {
				r.URL.Scheme, r.URL.Host, r.Host = scheme, host, host
				r.URL.Path = strings.TrimPrefix(r.URL.Path, prefix)
				r.Header.Set("Authorization", authorization)
			},
			Transport: transport,
		})
	}
	route("/rc", "http", "127.0.0.1:"+plain)
	route("/tls", "https", "localhost:"+secure)
	route("/own", "http", "127.0.0.1:"+own)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+port, nil))
}
