package config

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"slices"
)

// The parts of SARIF 2.1.0 that are needed here; see the standard of OASIS,
// docs.oasis-open.org/sarif/sarif/v2.1.0, whose section numbers stand behind the types.
type (
	sarifLog struct { // 3.13
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct { // 3.14
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}
	sarifTool struct { // 3.18
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct { // 3.19
		Name    string      `json:"name"`
		Version string      `json:"version,omitempty"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct { // 3.49
		ID               string    `json:"id"`
		ShortDescription sarifText `json:"shortDescription"`
	}
	sarifText struct { // 3.11
		Text string `json:"text"`
	}
	sarifResult struct { // 3.27
		RuleID    string          `json:"ruleId"`
		RuleIndex int             `json:"ruleIndex"`
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations,omitempty"`
	}
	sarifLocation struct { // 3.28
		PhysicalLocation sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct { // 3.29
		ArtifactLocation sarifArtifact `json:"artifactLocation"`
		Region           *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct { // 3.4
		URI string `json:"uri"`
	}
	sarifRegion struct { // 3.30: lines and columns from 1; endColumn is the one behind the last
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn"`
		EndLine     int `json:"endLine"`
		EndColumn   int `json:"endColumn"`
	}
)

// sarifRules are all kinds of faults.
func sarifRules() []sarifRule {
	rules := []sarifRule{{string(CodeInvalid), sarifText{"The configuration has an error."}}}
	for _, r := range Rules {
		rules = append(rules, sarifRule{string(r.Code), sarifText{r.Text}})
	}
	return rules
}

// WriteSARIF writes the diagnostics as one SARIF 2.1.0 log. version is that of the program, "" if it is not known.
func (d *Diagnostics) WriteSARIF(w io.Writer, version string) error {
	rules := sarifRules()
	run := sarifRun{
		Tool:       sarifTool{sarifDriver{"pyruse", version, rules}},
		ColumnKind: "unicodeCodePoints",
		Results:    []sarifResult{},
	}
	for _, x := range d.Sorted() {
		text := x.Message
		if x.Hint != "" {
			text += "\n" + x.Hint
		}
		run.Results = append(run.Results, sarifResult{
			RuleID:    string(x.Code),
			RuleIndex: slices.IndexFunc(rules, func(r sarifRule) bool { return r.ID == string(x.Code) }),
			Level:     x.Severity.String(),
			Message:   sarifText{text},
			Locations: sarifLocations(x.Pos),
		})
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
	if err != nil {
		return fmt.Errorf("write the faults as SARIF: %w", err)
	}
	return nil
}

func sarifLocations(p Pos) []sarifLocation {
	if p.File == nil {
		return nil
	}
	uri := url.URL{Path: filepath.ToSlash(p.File.Name)}
	if filepath.IsAbs(p.File.Name) {
		uri.Scheme = "file"
	}
	at := sarifPhysical{ArtifactLocation: sarifArtifact{uri.String()}}
	if len(p.File.Data) > 0 {
		end := Pos{File: p.File, Start: p.End}
		at.Region = &sarifRegion{p.Line(), p.Column(), end.Line(), end.Column()}
	}
	return []sarifLocation{{at}}
}
