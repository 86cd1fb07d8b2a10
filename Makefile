# The ordinary ways in. `make test` builds and runs every test but the long ones.
PRESET := $(shell scripts/preset.sh)
BUILD := build/$(PRESET)
CTEST := ctest --test-dir $(BUILD) --output-on-failure --no-tests=error -j 2

.PHONY: build test stress check docs adding format setup install clean

build: setup
	@cmake --preset $(PRESET) -DCMAKE_MESSAGE_LOG_LEVEL=WARNING $(CMAKE_FLAGS) >/dev/null
	@cmake --build $(BUILD)

test: build
	$(CTEST) -LE stress

stress: build
	$(CTEST) -L stress

setup:
	@scripts/setup.sh

check:
	scripts/check.sh

docs: build
	$(BUILD)/bin/exp recipe schema --markdown > docs/recipe_reference.md
	XP_SOURCE_DIR=$(CURDIR) XP_WRITE_GOLDEN=1 $(BUILD)/bin/metric_test --gtest_filter=Metrics.ThePageIsTheTable --gtest_brief=1

adding: setup
	scripts/adding.sh

format:
	git ls-files '*.h' '*.cpp' '*.cu' | xargs clang-format-14 -i

install: build
	cmake --install $(BUILD)

clean:
	rm -rf build
