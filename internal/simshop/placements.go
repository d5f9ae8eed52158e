package simshop

// Placements lists the recommendation lists that the shop's pages show; each must be readable from a browser.
func Placements() []string { return []string{"home", "item", "session", "cart", "popular"} }
