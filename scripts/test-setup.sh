#!/bin/sh
# Fetches what the suites drive but the product does not need: playwright-core (the browser suites) and the Apache Kafka
# artefacts (the real-Kafka suite), the engines that read the lake, with the packages of Spark (the readers' suite), and the libraries
# that fits of models are measured beside. A missing tool is one clear line here and a skipped suite later; with CI=true it fails.
set -eu
missing() {
	if [ "${CI:-}" = true ]; then echo "test set-up: $1" >&2; exit 1; fi
	echo "test set-up: $1; that suite will be skipped"
}

node_dir=$(dirname "$MILLRACE_NODE_MODULES")
if [ ! -d "$MILLRACE_NODE_MODULES/playwright-core" ]; then
	if command -v npm >/dev/null 2>&1; then
		mkdir -p "$node_dir"
		cp scripts/browser-suite/package.json scripts/browser-suite/package-lock.json "$node_dir/"
		(cd "$node_dir" && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error) || missing "npm could not install playwright-core"
	else
		missing "npm is missing (install Node.js for the browser suites)"
	fi
fi
api_dir=$(dirname "$MILLRACE_API_NODE_MODULES")
if ! cmp -s scripts/api-suite/package-lock.json "$api_dir/package-lock.json"; then
	if command -v npm >/dev/null 2>&1; then
		mkdir -p "$api_dir"
		cp scripts/api-suite/package.json "$api_dir/"
		cp scripts/api-suite/package-lock.json "$api_dir/package-lock.json"
		(cd "$api_dir" && npm ci --no-audit --no-fund --ignore-scripts --omit=optional --loglevel=error) || {
			rm -f "$api_dir/package-lock.json"
			missing "npm could not install the linter of OpenAPI and the generator of TypeScript clients"
		}
	else
		missing "npm is missing (install Node.js for the suite of the API's document)"
	fi
fi
command -v "${MILLRACE_CHROMIUM:-chromium}" >/dev/null 2>&1 || missing "chromium is missing (install it, or name it in MILLRACE_CHROMIUM)"
command -v redis-server >/dev/null 2>&1 || missing "redis-server is missing (install Redis or Valkey for the suite of the shared online store)"

if [ ! -d "$MILLRACE_KAFKA_LIBS" ]; then
	if command -v mvn >/dev/null 2>&1 && command -v java >/dev/null 2>&1; then
		mvn -q -B -f internal/kafka/kafkatest/pom.xml dependency:copy-dependencies \
			-DoutputDirectory="$MILLRACE_KAFKA_LIBS.part" && mv "$MILLRACE_KAFKA_LIBS.part" "$MILLRACE_KAFKA_LIBS" ||
			missing "Maven could not fetch the Apache Kafka artefacts"
	else
		missing "mvn or java is missing (install a JDK 17 and Maven for the real-Kafka suite)"
	fi
fi

# A virtual environment is made anew when its requirements have changed.
python_packages() { # the environment's directory, its requirements, what is in it, what it is for
	if cmp -s "$2" "$1/requirements.txt"; then return; fi
	if python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then
		rm -rf "$1"
		python3 -m venv "$1" && "$1/bin/pip" install -q --disable-pip-version-check -r "$2" && cp "$2" "$1/requirements.txt" ||
			missing "pip could not install $3"
	else
		missing "python3-venv is missing (install it for $4)"
	fi
}
python_packages "$MILLRACE_READERS" lake/readers/requirements.txt "DuckDB, pyiceberg, Polars and Spark" "the suite of the lake's other readers"
python_packages "$MILLRACE_RIVALS" internal/model/rivals/requirements.txt "implicit and NumPy" "the libraries that fits are measured beside"

# Spark looks for its packages in Maven's own repository first, so its tests need no network.
if ! cmp -s lake/readers/pom.xml "$MILLRACE_READERS/spark/pom.xml"; then
	if command -v mvn >/dev/null 2>&1 && command -v java >/dev/null 2>&1; then
		mvn -q -B -f lake/readers/pom.xml dependency:resolve && mkdir -p "$MILLRACE_READERS/spark" &&
			cp lake/readers/pom.xml "$MILLRACE_READERS/spark/" || missing "Maven could not fetch the Iceberg runtime of Spark"
	else
		missing "mvn or java is missing (install a JDK 17 and Maven for Spark, one of the lake's readers)"
	fi
fi
