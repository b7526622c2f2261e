# What one does daily, and a folder for other machines.

check:
    cargo fmt --all --check && cargo clippy --workspace --all-targets -- -D warnings

test *arguments:
    ./test {{arguments}}

bench *arguments:
    cargo bench {{arguments}}

serve *arguments:
    cargo run --release -- serve {{arguments}}

train *arguments:
    cargo run --release -p model-export -- {{arguments}}

dist:
    ./dist.sh
