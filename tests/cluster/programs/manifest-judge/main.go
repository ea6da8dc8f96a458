// The judge of what a manifest says: reads it as kubectl does and prints the JSON that kubectl would send, with
// what the API server would say to its metadata. Each line of the input is a JSON string, the manifest's text; each
// line of the output is an object:
//
//	json       what is sent; absent when kubectl refuses the text
//	error      why it does
//	documents  how many documents there are that are not empty
//	duplicate  a key is given twice in one mapping, of which kubectl takes the last without a word
//	metadata   why the API server refuses the metadata of a custom resource, if it does
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	goyaml "go.yaml.in/yaml/v2"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/yaml"
	kjson "sigs.k8s.io/json"
)

type verdict struct {
	JSON      json.RawMessage `json:"json,omitempty"`
	Error     string          `json:"error,omitempty"`
	Documents int             `json:"documents"`
	Duplicate bool            `json:"duplicate,omitempty"`
	Metadata  []string        `json:"metadata,omitempty"`
}

// As cli-runtime's StreamVisitor, and the decoder and encoder of unstructured objects behind it.
func read(text string) verdict {
	var v verdict
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		ext := runtime.RawExtension{}
		if err := decoder.Decode(&ext); err != nil {
			if err == io.EOF {
				return v
			}
			return verdict{Error: err.Error()}
		}
		ext.Raw = bytes.TrimSpace(ext.Raw)
		if len(ext.Raw) == 0 || bytes.Equal(ext.Raw, []byte("null")) {
			continue
		}
		object := map[string]interface{}{}
		if err := utiljson.Unmarshal(ext.Raw, &object); err != nil {
			return verdict{Error: err.Error()}
		}
		var sent bytes.Buffer
		if err := json.NewEncoder(&sent).Encode(object); err != nil {
			return verdict{Error: err.Error()}
		}
		v.JSON = bytes.TrimSpace(sent.Bytes())
		v.Documents++
		v.Metadata = checkMetadata(v.JSON)
	}
}

// Whether some mapping holds a key twice as JSON sees keys, in the text as JSON or as YAML. What a merge key takes in
// does not count.
func hasDuplicates(text string) bool {
	var object interface{}
	if strict, err := kjson.UnmarshalStrict([]byte(text), &object); err == nil {
		return len(strict) > 0
	}
	reader := yaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for {
		document, err := reader.Read()
		if err != nil {
			return false
		}
		var mapping goyaml.MapSlice
		if err := goyaml.Unmarshal(document, &mapping); err == nil && repeats(mapping) {
			return true
		}
	}
}

func repeats(value interface{}) bool {
	switch value := value.(type) {
	case goyaml.MapSlice:
		seen := map[string]bool{}
		for _, item := range value {
			name := fmt.Sprint(item.Key)
			if number, ok := item.Key.(float64); ok {
				name = strconv.FormatFloat(number, 'g', -1, 32)
			}
			if seen[name] || repeats(item.Value) {
				return true
			}
			seen[name] = true
		}
	case []interface{}:
		for _, item := range value {
			if repeats(item) {
				return true
			}
		}
	}
	return false
}

// As the API server on the creation of a namespaced custom resource with strict field validation.
func checkMetadata(sent []byte) []string {
	object := map[string]interface{}{}
	if err := utiljson.Unmarshal(sent, &object); err != nil {
		return []string{err.Error()}
	}
	meta, found, unknown, err := objectmeta.GetObjectMetaWithOptions(object,
		objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	if err != nil {
		return []string{err.Error()}
	}
	if !found {
		return []string{"no metadata"}
	}
	var problems []string
	for _, path := range unknown {
		problems = append(problems, "unknown field "+path)
	}
	if meta.Namespace == "" {
		meta.Namespace = metav1.NamespaceDefault
	}
	if meta.Name == "" && meta.GenerateName != "" {
		meta.Name = meta.GenerateName + "x"
	}
	path := field.NewPath("metadata")
	errors := validation.ValidateObjectMeta(meta, true, validation.NameIsDNSSubdomain, path)
	errors = append(errors, metavalidation.ValidateLabels(meta.Labels, path.Child("labels"))...)
	for _, err := range errors {
		problems = append(problems, err.Error())
	}
	return problems
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	encoder := json.NewEncoder(out)
	for number := 1; ; number++ {
		line, err := in.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			var text string
			if err := json.Unmarshal(line, &text); err != nil {
				fmt.Fprintf(os.Stderr, "line %d of the input is no JSON string: %v\n", number, err)
				os.Exit(2)
			}
			v := read(text)
			v.Duplicate = hasDuplicates(text)
			if err := encoder.Encode(v); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			// Whoever asks line by line gets an answer to each.
			out.Flush()
		}
		if err != nil {
			return
		}
	}
}
