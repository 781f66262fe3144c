// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	probeInterval = 5 * time.Second
	probeTimeout  = 3 * time.Second
)

// balancer is the client load balancer of an agent on 127.0.0.1:6444 (k3s: pkg/agent/loadbalancer): one server is in use, and the others stand by.
// It learns all servers from the endpoints of the Service kubernetes, keeps them on disk, and drops the connections to a server that does not answer.
type balancer struct {
	file string
	lock sync.Mutex
	// guarded by lock:
	first   string              // the server of the settings, last choice once others are known
	servers []string            // HOST:PORT
	failing map[string]int      // failed probes in a row
	open    map[net.Conn]string // connections to servers
}

func newBalancer(server *url.URL, file string) (*balancer, error) {
	own := &balancer{file: file, first: hostNameOf(server), failing: map[string]int{}, open: map[net.Conn]string{}}
	if content := readText(file); content != "" {
		if err := json.Unmarshal([]byte(content), &own.servers); err != nil {
			return nil, err
		}
	}
	return own, nil
}

func (own *balancer) listen(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				logFatal("load balancer: %s", err)
			}
			go own.serve(connection)
		}
	}()
	go func() {
		for range time.Tick(probeInterval) {
			own.probe()
		}
	}()
	return nil
}

// candidates are the servers in the order to try: the healthy ones first.
func (own *balancer) candidates() []string {
	own.lock.Lock()
	defer own.lock.Unlock()
	all := slices.Clone(own.servers)
	if !slices.Contains(all, own.first) {
		all = append(all, own.first)
	}
	slices.SortStableFunc(all, func(one, other string) int { return min(own.failing[one], 1) - min(own.failing[other], 1) })
	return all
}

func (own *balancer) serve(client net.Conn) {
	defer client.Close()
	for _, address := range own.candidates() {
		server, err := net.DialTimeout("tcp", address, probeTimeout)
		if err != nil {
			own.note(address, false)
			continue
		}
		own.lock.Lock()
		own.open[server] = address
		own.lock.Unlock()
		go func() {
			_, _ = io.Copy(server, client)
			server.Close()
			client.Close()
		}()
		_, _ = io.Copy(client, server)
		server.Close()
		own.lock.Lock()
		delete(own.open, server)
		own.lock.Unlock()
		return
	}
}

// note counts failures; connections of a server that failed twice are closed, so that clients turn to another one.
func (own *balancer) note(address string, healthy bool) {
	own.lock.Lock()
	defer own.lock.Unlock()
	if healthy {
		delete(own.failing, address)
		return
	}
	own.failing[address]++
	if own.failing[address] < 2 {
		return
	}
	for connection, server := range own.open {
		if server == address {
			connection.Close()
		}
	}
}

// probe asks each server for /ping: a frozen or cut off one is found though its connections stay open.
func (own *balancer) probe() {
	client := &http.Client{Timeout: probeTimeout, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	var group sync.WaitGroup
	for _, address := range own.candidates() {
		group.Add(1)
		go func() {
			defer group.Done()
			response, err := client.Get("https://" + address + "/ping")
			if err == nil {
				response.Body.Close()
			}
			own.note(address, err == nil)
		}()
	}
	group.Wait()
}

// followEndpoints learns the servers; a list that gets empty is not believed.
func (own *balancer) followEndpoints(ctx context.Context, kubeconfig string) {
	configuration, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		logFatal("%s", err)
	}
	factory := informers.NewSharedInformerFactoryWithOptions(kubernetes.NewForConfigOrDie(configuration), 0, informers.WithNamespace(metav1.NamespaceDefault),
		informers.WithTweakListOptions(func(options *metav1.ListOptions) { options.FieldSelector = "metadata.name=kubernetes" }))
	informer := factory.Discovery().V1().EndpointSlices().Informer()
	update := func(object any) {
		if slice, isSlice := object.(*discoveryv1.EndpointSlice); isSlice {
			own.learn(slice)
		}
	}
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: update, UpdateFunc: func(_, object any) { update(object) }})
	informer.Run(ctx.Done())
}

func (own *balancer) learn(slice *discoveryv1.EndpointSlice) {
	var found []string
	for _, port := range slice.Ports {
		for _, endpoint := range slice.Endpoints {
			for _, address := range endpoint.Addresses {
				found = append(found, net.JoinHostPort(address, strconv.Itoa(int(*port.Port))))
			}
		}
	}
	if len(found) == 0 {
		return
	}
	own.lock.Lock()
	defer own.lock.Unlock()
	// The known ones keep their places: a connection made anew goes to the same server.
	var servers []string
	for _, address := range append(slices.Clone(own.servers), found...) {
		if slices.Contains(found, address) && !slices.Contains(servers, address) {
			servers = append(servers, address)
		}
	}
	if slices.Equal(servers, own.servers) {
		return
	}
	own.servers = servers
	logInfo("Updated load balancer k3s-agent-load-balancer server addresses -> %v", servers)
	if content, err := json.Marshal(servers); err == nil {
		if err := writeFile(own.file, content, 0o600); err != nil {
			logWarning("%s", err)
		}
	}
}
