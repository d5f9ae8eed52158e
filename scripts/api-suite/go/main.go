// A shop's program over the client that is made of the document: main BASE_URL SECRET_KEY. It prints what it was recommended.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"millrace.test/client/shop"
)

func main() {
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url, key string) error {
	client, err := shop.NewClientWithResponses(url, shop.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+key)
		return nil
	}))
	if err != nil {
		return err
	}
	title, price := "Lamp", 19.5
	put, err := client.PutItemWithResponse(ctx, "lamp/2", &shop.PutItemParams{}, shop.PutItemJSONRequestBody{Title: &title, Price: &price})
	if err != nil {
		return err
	}
	if put.JSON201 == nil || put.JSON201.ItemId != "lamp/2" {
		return fmt.Errorf("the item was not made: %s", put.Body)
	}
	limit, dryRun := int64(5), true
	list, err := client.RecommendWithResponse(ctx, shop.RecommendJSONRequestBody{Placement: "popular", Limit: &limit, DryRun: &dryRun})
	if err != nil {
		return err
	}
	if list.JSON200 == nil || len(list.JSON200.Items) == 0 {
		return fmt.Errorf("nothing was recommended: %s", list.Body)
	}
	wrong, err := client.RecommendByQueryWithResponse(ctx, &shop.RecommendByQueryParams{Placement: "nowhere"})
	if err != nil {
		return err
	}
	if p := wrong.ApplicationproblemJSON404; p == nil || p.Type != "urn:millrace:problem:unknown-placement" || p.Hint == nil {
		return fmt.Errorf("no problem with a hint: %s", wrong.Body)
	}
	for _, item := range list.JSON200.Items {
		fmt.Print(item.ItemId, " ")
	}
	return nil
}
