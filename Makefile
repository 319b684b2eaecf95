# The commands of this project. `make test` is the one that decides.

.PHONY: demo test bench image fmt

demo: ## everything with no account: a stand-in registry, rules and a chat wall
	cargo run --release --quiet -- demo

test: ## formatting, lints, and every test; installs what it needs
	bash tests/run.sh

bench: ## the numbers, as a table and as JSON
	bash benches/run.sh

image: ## the container image, with whatever builder is here
	bash image/build.sh

fmt:
	cargo fmt
