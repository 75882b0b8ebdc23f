// Measures sideshow/apns2, as its documentation says for many notifications: one client, many goroutines that push.
//
// Keeps to the protocol of ../measure.py: connect, warm up, note the CPU used so far, send for some seconds, print one
// line of JSON. Built and started by ../run.py.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sideshow/apns2"
	"github.com/sideshow/apns2/payload"
	"github.com/sideshow/apns2/token"
	"golang.org/x/net/http2"
)

const (
	title   = "Stentor"
	text    = "The herald whose voice carried like fifty men's has something to tell all of you"
	topic   = "org.example.app"
	devices = 10_000
	warmUp  = 0.5
)

// What the simulator says of itself.
type facts struct {
	Port    int    `json:"port"`
	CAFile  string `json:"ca_file"`
	KeyFile string `json:"key_file"`
	KeyID   string `json:"key_id"`
	TeamID  string `json:"team_id"`
}

type report struct {
	Accepted   int64   `json:"accepted"`
	Failed     int64   `json:"failed"`
	Warmed     int64   `json:"warmed"`
	Seconds    float64 `json:"seconds"`
	StartupCPU float64 `json:"startup_cpu"`
	Error      *string `json:"error"`
}

type peer struct {
	client   *apns2.Client
	tokens   []string
	serial   atomic.Int64
	accepted atomic.Int64
	failed   atomic.Int64
	problem  atomic.Pointer[string]
}

func main() {
	simulator := flag.String("simulator", "", "JSON: what the simulator said of itself")
	concurrency := flag.Int("concurrency", 100, "goroutines that push")
	seconds := flag.Float64("seconds", 1, "how long")
	flag.Parse()
	var where facts
	must(json.Unmarshal([]byte(*simulator), &where))

	p := &peer{client: newClient(where), tokens: make([]string, devices)}
	for i := range p.tokens {
		p.tokens[i] = fmt.Sprintf("%064x", i)
	}
	p.push() // alone: APNs allows one stream until it has seen who we are
	p.drive(*concurrency, min(warmUp, *seconds))
	warmed := p.accepted.Swap(0)
	p.failed.Store(0)
	startup := cpu()
	started := time.Now()
	p.drive(*concurrency, *seconds)
	must(json.NewEncoder(os.Stdout).Encode(report{
		Seconds:    time.Since(started).Seconds(),
		Accepted:   p.accepted.Load(),
		Failed:     p.failed.Load(),
		Warmed:     warmed,
		StartupCPU: startup,
		Error:      p.problem.Load(),
	}))
}

func newClient(where facts) *apns2.Client {
	key, err := token.AuthKeyFromFile(where.KeyFile)
	must(err)
	pem, err := os.ReadFile(where.CAFile)
	must(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client := apns2.NewTokenClient(&token.Token{AuthKey: key, KeyID: where.KeyID, TeamID: where.TeamID})
	client.Host = fmt.Sprintf("https://localhost:%d", where.Port)
	client.HTTPClient.Transport.(*http2.Transport).TLSClientConfig = &tls.Config{RootCAs: roots}
	return client
}

// Push for so long, then wait for what is under way.
func (p *peer) drive(concurrency int, seconds float64) {
	deadline := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	var group sync.WaitGroup
	for range concurrency {
		group.Add(1)
		go func() {
			defer group.Done()
			for time.Now().Before(deadline) {
				p.push()
			}
		}()
	}
	group.Wait()
}

func (p *peer) push() {
	serial := p.serial.Add(1)
	response, err := p.client.Push(&apns2.Notification{
		ApnsID:      fmt.Sprintf("00000000-0000-4000-8000-%012x", serial),
		DeviceToken: p.tokens[serial%devices],
		Topic:       topic,
		Priority:    apns2.PriorityHigh,
		PushType:    apns2.PushTypeAlert,
		Payload:     payload.NewPayload().AlertTitle(title).AlertBody(text).Sound("default"),
	})
	switch {
	case err != nil:
		p.fail(err.Error())
	case response.StatusCode != http.StatusOK:
		p.fail(fmt.Sprintf("%d %s", response.StatusCode, response.Reason))
	default:
		p.accepted.Add(1)
	}
}

func (p *peer) fail(why string) {
	p.failed.Add(1)
	p.problem.CompareAndSwap(nil, &why)
}

func cpu() float64 {
	var used syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
