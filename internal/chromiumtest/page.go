package chromiumtest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
)

// Page is one tab. Its methods fail the test on an error. Not safe for concurrent use.
type Page struct {
	b       *Browser
	session string
	ctx     context.Context //nolint:containedctx // the test's own; a page lives as long as its test

	// guarded by b.mu
	complaints []string
	requests   []string
}

// Open opens an address in a tab of its own and waits until it has loaded. prepare are scripts that run before any of the page's.
func (b *Browser) Open(t testing.TB, url string, prepare ...string) *Page {
	t.Helper()
	p := &Page{b: b, ctx: t.Context()}
	var target struct {
		TargetID string `json:"targetId"`
	}
	p.must(t, "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	p.must(t, "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	p.session = attached.SessionID
	b.mu.Lock()
	b.pages[p.session] = p
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Network", "Log", "DOM"} {
		p.must(t, domain+".enable", map[string]any{}, nil)
	}
	for _, script := range prepare {
		p.must(t, "Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": script}, nil)
	}
	p.must(t, "Page.navigate", map[string]any{"url": url}, nil)
	p.Eval(t, `new Promise((done) => document.readyState === "complete" ? done(true) : addEventListener("load", () => done(true)))`, nil)
	return p
}

func (p *Page) must(t testing.TB, method string, params, out any) {
	t.Helper()
	if err := p.b.call(p.ctx, p.session, method, params, out); err != nil {
		t.Fatal(err)
	}
}

// event keeps what the page asked of the network and what it complained of. b.mu is held.
func (p *Page) event(m message) {
	var e struct {
		Request struct {
			URL string `json:"url"`
		} `json:"request"`
		Entry struct {
			Level, Text string
		} `json:"entry"`
		Type             string `json:"type"`
		ExceptionDetails struct {
			Text      string `json:"text"`
			Exception struct {
				Description string `json:"description"`
			} `json:"exception"`
		} `json:"exceptionDetails"`
	}
	if json.Unmarshal(m.Params, &e) != nil {
		p.complaints = append(p.complaints, m.Method+": not understood")
		return
	}
	switch m.Method {
	case "Network.requestWillBeSent":
		p.requests = append(p.requests, e.Request.URL)
	case "Log.entryAdded":
		p.complaints = append(p.complaints, e.Entry.Level+": "+e.Entry.Text)
	case "Runtime.consoleAPICalled":
		p.complaints = append(p.complaints, "console."+e.Type)
	case "Runtime.exceptionThrown":
		p.complaints = append(p.complaints, e.ExceptionDetails.Text+" "+e.ExceptionDetails.Exception.Description)
	}
}

// Complaints returns everything that the page, or Chromium about it, wrote to the console, and every exception that nobody caught.
func (p *Page) Complaints() []string {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	return slices.Clone(p.complaints)
}

// Requests returns the addresses that the page asked for, itself included.
func (p *Page) Requests() []string {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	return slices.Clone(p.requests)
}

// Eval evaluates an expression in the page, waits for it if it is a promise, and decodes its value into out, if that is not nil.
func (p *Page) Eval(t testing.TB, expression string, out any) {
	t.Helper()
	var got struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		ExceptionDetails *struct {
			Text      string `json:"text"`
			Exception struct {
				Description string `json:"description"`
			} `json:"exception"`
		} `json:"exceptionDetails"`
	}
	p.must(t, "Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &got)
	if d := got.ExceptionDetails; d != nil {
		t.Fatalf("evaluating in the page: %s %s", d.Text, d.Exception.Description)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(got.Result.Value, out); err != nil {
		t.Fatalf("evaluating in the page: %v: %s", err, got.Result.Value)
	}
}

// SetFiles chooses files in the input that the selector finds, as a reader would.
func (p *Page) SetFiles(t testing.TB, selector string, files []string) {
	t.Helper()
	var document struct {
		Root struct {
			NodeID int `json:"nodeId"`
		} `json:"root"`
	}
	p.must(t, "DOM.getDocument", map[string]any{}, &document)
	var node struct {
		NodeID int `json:"nodeId"`
	}
	p.must(t, "DOM.querySelector", map[string]any{"nodeId": document.Root.NodeID, "selector": selector}, &node)
	if node.NodeID == 0 {
		t.Fatalf("the page has no %s", selector)
	}
	p.must(t, "DOM.setFileInputFiles", map[string]any{"nodeId": node.NodeID, "files": files}, nil)
}

// Screenshot returns the whole page as a PNG, width CSS pixels wide, in light or dark colours.
func (p *Page) Screenshot(t testing.TB, width int, dark bool) []byte {
	t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	p.must(t, "Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	p.must(t, "Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false}, nil)
	var shot struct {
		Data []byte `json:"data"`
	}
	p.must(t, "Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true, "clip": p.size(t, width)}, &shot)
	if len(shot.Data) == 0 {
		t.Fatal(fmt.Errorf("an empty screenshot"))
	}
	return shot.Data
}

func (p *Page) size(t testing.TB, width int) map[string]any {
	t.Helper()
	var height int
	p.Eval(t, "Math.ceil(document.documentElement.scrollHeight)", &height)
	return map[string]any{"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
}
