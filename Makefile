# The few commands that matter. `make check` is what CI runs after `make test`.

.PHONY: run test check smoke bench install

# The page on http://127.0.0.1:8080, mail written to outbox/. Needs nothing but Rust.
run:
	cargo run --release -p mailqueue-http

# Installs what the tests need (Postgres, Redis, Postfix's smtp-sink, Chromium: Debian's packages), then runs them all.
test:
	.ci/test

install:
	.ci/install

check:
	cargo fmt --all --check
	cargo clippy --workspace --all-features --all-targets -- -D warnings
	cargo clippy -p mailqueue-core --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps
	.ci/circles
	.ci/twins
	.ci/migrations
	.ci/deny
	.ci/machete
	.ci/package
	.ci/benches
	.ci/examples
	.ci/clients

# The compose file on running containers.
smoke:
	.ci/smoke

# How fast it is, as a Markdown table: everything in under a quarter of an hour, or parts: make bench BENCH='submit deliver'.
bench: install
	cargo bench -p mailqueue-testing --bench performance -- $(BENCH)
