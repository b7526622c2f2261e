# Daily work, the book, the protocol's freeze, and a folder for other machines.

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

docs:
    .ci/book

references:
    UPDATE_REFERENCES=1 cargo test --test references

freeze:
    .ci/protocol freeze

dist:
    ./dist.sh
