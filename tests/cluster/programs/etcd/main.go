// etcd as its own main package has it. Debian's is 3.4, on which an API server of today cannot stream lists.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
