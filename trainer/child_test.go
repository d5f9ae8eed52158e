package trainer

import (
	"context"
	"os"
	"os/signal"
)

// playTrainingProcess makes the test binary the training process when it is started with ChildCommand.
func playTrainingProcess() {
	if len(os.Args) < 2 || os.Args[1] != ChildCommand {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := Child(ctx, os.Stdin, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		_, _ = os.Stderr.WriteString("train: " + err.Error() + "\n")
		os.Exit(1)
	}
	os.Exit(0)
}
