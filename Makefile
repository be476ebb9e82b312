# efdshim. 'make' needs a C compiler and make; the other targets install or name what they lack.
#   make                   the library and the launcher, in build/
#   make run               show real programs running on the shim
#   make check             the tests; make check-programs: real programs with assertions
#   make model             the models of the lock-free protocols, searched by spin (many minutes, some gigabytes)
#   make storm SEED=1      10,000 kills among 8 processes with 64 eventfds
#   make fuzz SEED=1 N=1000000
#   make bench             the shim against the kernel's eventfd and pipes, in minutes; make bench-quick: in under one
#   make lint | install PREFIX=/usr/local DESTDIR= | clean
# CC, CFLAGS, LDFLAGS and B (the build directory) can be set on the command line.
CC ?= cc
B := build
PREFIX ?= /usr/local
SEED ?= 1
N ?= 200000

OPT ?= -O2 -g
WARN := -Wall -Wextra -Wshadow -Wconversion -Werror
SHIMFLAGS := -std=c11 -D_GNU_SOURCE= $(OPT) $(WARN) -fPIC -fvisibility=hidden -fno-delete-null-pointer-checks \
	-ftls-model=initial-exec -Iinclude -Ishim
TESTFLAGS := -std=gnu11 -D_GNU_SOURCE= -O1 -g -Wall -Wextra -Itests/support -Iinclude -Ishim -include tests/support/libc.h
SANFLAGS := -fsanitize=address,undefined -Wno-maybe-uninitialized -fno-sanitize-recover=undefined -fno-omit-frame-pointer
# A musl-gcc beside another libc has no headers of the kernel's: the system's serve, alone in a directory.
KERNEL_HEADERS := $(if $(wildcard /usr/include/linux/futex.h),$(shell \
	$(CC) -E -include linux/futex.h -x c /dev/null >/dev/null 2>&1 || echo $(abspath $(B))/kernel))
ifneq ($(KERNEL_HEADERS),)
$(shell mkdir -p $(KERNEL_HEADERS) && ln -sfn /usr/include/linux /usr/include/asm-generic $(KERNEL_HEADERS) && \
	ln -sfn $(firstword $(wildcard /usr/include/$(shell $(CC) -print-multiarch)/asm /usr/include/asm)) $(KERNEL_HEADERS)/asm)
SHIMFLAGS += -idirafter $(KERNEL_HEADERS)
TESTFLAGS += -idirafter $(KERNEL_HEADERS)
endif
LIBS := -ldl -pthread
DEPS := -MMD -MP
# Few segments and few symbols to bind: every program pays for them when it starts.
LINKSHIM := -shared -Wl,--no-undefined -Wl,-z,now -Wl,-z,noseparate-code -Wl,-z,nodelete -Wl,-Bsymbolic-functions -Wl,-soname,libefdshim.so

objects = $(patsubst %.c,$(1)/obj/%.o,$(wildcard $(2)))
# sys first: what runs when a program starts is then in few pages.
CORE := shim/sys/*.c shim/core/*.c
SHIM := $(CORE) shim/interpose/*.c
SUITES := $(patsubst tests/%.c,%,$(wildcard tests/suite/*.c))
MASKS := $(patsubst tests/%.c,%,$(wildcard tests/mask/*.c))
FAMILY := $(patsubst tests/%.c,%,$(wildcard tests/family/*.c))
PROGRAMS := $(B)/tests/programs/bundled $(B)/tests/programs/msgsock_echo
UNITS := $(patsubst tests/%.c,%,$(wildcard tests/unit/*.c))
BENCH_BASE := channels channels_vpoll loop_epoll loop_poll loop_select core median
BENCH_TOOL := tool options chain pingpong result $(BENCH_BASE)
BENCHES := $(addprefix $(B)/bench/,pipetest eventfd-bench micro ordinary eventpoll asyncfd startup libempty.so)

all: $(B)/libefdshim.so $(B)/efdshim

$(B)/libefdshim.so: $(call objects,$(B),$(SHIM)) $(B)/obj/shim/interpose/vfork.o
	$(CC) $(LINKSHIM) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/efdshim: $(call objects,$(B),shim/cli/*.c $(CORE))
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/obj/shim/%.o: shim/%.c
	@mkdir -p $(@D)
	$(CC) $(SHIMFLAGS) $(CFLAGS) $(DEPS) -c -o $@ $<

%/obj/shim/interpose/vfork.o: shim/interpose/vfork.S
	@mkdir -p $(@D)
	$(CC) $(ASFLAGS) -c -o $@ $<

$(B)/asan/obj/shim/interpose/vfork.o: ASFLAGS := -DEFDSHIM_SANITIZED

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(TESTFLAGS) $(CFLAGS) $(DEPS) -c -o $@ $<

# The library once more, with the places in it where the crash-point test kills a process.
$(B)/crash/obj/shim/%.o: shim/%.c
	@mkdir -p $(@D)
	$(CC) $(SHIMFLAGS) -DEFDSHIM_CRASH_POINTS $(CFLAGS) $(DEPS) -c -o $@ $<

# The tests with the sanitizers have the shim inside each executable, so that its symbols come before those of the sanitizers' runtime.
$(B)/asan/obj/shim/%.o: shim/%.c
	@mkdir -p $(@D)
	$(CC) $(SHIMFLAGS) $(SANFLAGS) $(CFLAGS) $(DEPS) -c -o $@ $<

$(B)/asan/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(TESTFLAGS) $(SANFLAGS) $(CFLAGS) $(DEPS) -c -o $@ $<

# Whatever includes Criterion waits until it is installed.
$(patsubst %,$(B)/obj/tests/%.o,$(SUITES) $(MASKS) $(FAMILY) $(UNITS)) $(patsubst %,$(B)/asan/obj/tests/%.o,$(SUITES) $(MASKS) $(FAMILY) $(UNITS)) \
$(filter-out %/shimcmd.o,$(call objects,$(B),tests/support/*.c) $(call objects,$(B)/asan,tests/support/*.c)): | criterion

$(B)/tests/suite/%: $(B)/obj/tests/suite/%.o $(call objects,$(B),tests/support/*.c)
	@mkdir -p $(@D)
	$(CC) -o $@ $^ -lcriterion $(LIBS)

$(B)/tests/mask/%: $(B)/obj/tests/mask/%.o $(call objects,$(B),tests/support/*.c)
	@mkdir -p $(@D)
	$(CC) -o $@ $^ -lcriterion $(LIBS)

# What programs link with the library need no LD_PRELOAD.
$(B)/tests/family/%: $(B)/obj/tests/family/%.o $(call objects,$(B),tests/support/*.c) | $(B)/libefdshim.so
	@mkdir -p $(@D)
	$(CC) -o $@ $^ -L$(B) -lefdshim -Wl,-rpath,$(abspath $(B)) -lcriterion $(LIBS)

$(B)/tests/unit/%: $(B)/obj/tests/unit/%.o $(call objects,$(B),tests/support/*.c $(CORE))
	@mkdir -p $(@D)
	$(CC) -o $@ $^ -lcriterion $(LIBS)

$(B)/asan/tests/suite/%: $(B)/asan/obj/tests/suite/%.o $(call objects,$(B)/asan,tests/support/*.c $(SHIM)) \
		$(B)/asan/obj/shim/interpose/vfork.o
	@mkdir -p $(@D)
	$(CC) $(SANFLAGS) -static-libasan -rdynamic -o $@ $^ -lcriterion $(LIBS)

$(B)/asan/tests/mask/%: $(B)/asan/obj/tests/mask/%.o $(call objects,$(B)/asan,tests/support/*.c $(SHIM)) \
		$(B)/asan/obj/shim/interpose/vfork.o
	@mkdir -p $(@D)
	$(CC) $(SANFLAGS) -static-libasan -rdynamic -o $@ $^ -lcriterion $(LIBS)

$(B)/asan/tests/family/%: $(B)/asan/obj/tests/family/%.o $(call objects,$(B)/asan,tests/support/*.c $(SHIM)) \
		$(B)/asan/obj/shim/interpose/vfork.o
	@mkdir -p $(@D)
	$(CC) $(SANFLAGS) -static-libasan -rdynamic -o $@ $^ -lcriterion $(LIBS)

$(B)/asan/tests/unit/%: $(B)/asan/obj/tests/unit/%.o $(call objects,$(B)/asan,tests/support/*.c $(CORE))
	@mkdir -p $(@D)
	$(CC) $(SANFLAGS) -o $@ $^ -lcriterion $(LIBS)

# Where there is no Criterion, as for another C library or processor, a stand-in has what the tests use of it.
$(B)/mini/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(TESTFLAGS) -Itests/mini $(CFLAGS) $(DEPS) -c -o $@ $<

MINI := $(call objects,$(B)/mini,tests/support/*.c tests/mini/*.c)

$(B)/mini/tests/suite/%: $(B)/mini/obj/tests/suite/%.o $(MINI)
	@mkdir -p $(@D)
	$(CC) -o $@ $^ $(LIBS)

$(B)/mini/tests/mask/%: $(B)/mini/obj/tests/mask/%.o $(MINI)
	@mkdir -p $(@D)
	$(CC) -o $@ $^ $(LIBS)

$(B)/mini/tests/family/%: $(B)/mini/obj/tests/family/%.o $(MINI) | $(B)/libefdshim.so
	@mkdir -p $(@D)
	$(CC) -o $@ $^ -L$(B) -lefdshim -Wl,-rpath,$(abspath $(B)) $(LIBS)

$(B)/mini/tests/unit/%: $(B)/mini/obj/tests/unit/%.o $(MINI) $(call objects,$(B),$(CORE))
	@mkdir -p $(@D)
	$(CC) -o $@ $^ $(LIBS)

$(B)/tests/storm: $(call objects,$(B),tests/storm/*.c) $(B)/obj/tests/support/shimcmd.o
	@mkdir -p $(@D)
	$(CC) -o $@ $^ $(LIBS)

$(B)/tests/crash: $(call objects,$(B),tests/crash/*.c) $(B)/obj/tests/support/shimcmd.o
	@mkdir -p $(@D)
	$(CC) -o $@ $^ $(LIBS)

$(B)/crash/libefdshim.so: $(call objects,$(B)/crash,$(SHIM)) $(B)/crash/obj/shim/interpose/vfork.o
	$(CC) $(LINKSHIM) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/tests/maskfs: $(B)/obj/tests/maskfs/main.o
	@mkdir -p $(@D)
	$(CC) -o $@ $^ $(LIBS)

$(B)/tests/pretend: $(B)/obj/tests/pretend/main.o $(B)/obj/shim/cli/kernels.o $(B)/obj/shim/cli/pretend.o
	@mkdir -p $(@D)
	$(CC) -o $@ $^

$(B)/tests/fuzz-diff: $(call objects,$(B),tests/fuzz/*.c)
	@mkdir -p $(@D)
	$(CC) -o $@ $^ $(LIBS)

$(B)/tests/programs/bundled: $(B)/obj/tests/programs/bundled.o
	@mkdir -p $(@D)
	$(CC) -o $@ $^ $(LIBS)

$(B)/tests/programs/msgsock_check: $(patsubst %,$(B)/obj/tests/programs/%.o,msgsock msgsock_check msgsock_cases msgsock_hammer)
	@mkdir -p $(@D)
	$(CC) -o $@ $^ $(LIBS)

$(B)/tests/programs/msgsock_echo: $(patsubst %,$(B)/obj/tests/programs/%.o,msgsock msgsock_echo msgsock_server msgsock_crowd)
	@mkdir -p $(@D)
	$(CC) -o $@ $^ $(LIBS)

$(B)/obj/bench/%.o: TESTFLAGS += $(OPT)

$(addprefix $(B)/bench/,pipetest eventfd-bench): $(B)/bench/%: $(patsubst %,$(B)/obj/bench/%.o,% $(BENCH_TOOL))
	@mkdir -p $(@D)
	$(CC) -o $@ $^ $(LIBS)

$(B)/bench/micro: $(patsubst %,$(B)/obj/bench/%.o,micro micro_calls micro_wakes $(BENCH_BASE))
	@mkdir -p $(@D)
	$(CC) -o $@ $^ $(LIBS)

$(B)/bench/ordinary: $(patsubst %,$(B)/obj/bench/%.o,ordinary median)
	@mkdir -p $(@D)
	$(CC) -o $@ $^ $(LIBS)

$(addprefix $(B)/bench/,eventpoll asyncfd): $(B)/bench/%: $(B)/obj/bench/%.o $(patsubst %,$(B)/obj/bench/%.o,core median)
	@mkdir -p $(@D)
	$(CC) -o $@ $^ $(LIBS)

$(B)/bench/startup: tests/shim/startup.c tests/shim/prog.c
	@mkdir -p $(@D)
	$(CC) $(TESTFLAGS) $(CFLAGS) -Itests/shim -o $@ $^ $(LIBS)

$(B)/bench/libempty.so:
	@mkdir -p $(@D)
	$(CC) -shared -fPIC -o $@ -x c /dev/null

criterion:
	@tests/need.sh criterion/criterion.h=libcriterion-dev

check: all $(addprefix $(B)/tests/,$(SUITES) $(MASKS) $(FAMILY) $(UNITS)) $(addprefix $(B)/asan/tests/,$(SUITES) $(MASKS) $(FAMILY) $(UNITS)) \
		$(B)/tests/maskfs $(B)/tests/pretend $(B)/tests/fuzz-diff $(PROGRAMS) $(B)/tests/programs/msgsock_check $(B)/tests/storm $(B)/tests/crash \
		$(B)/crash/libefdshim.so $(BENCHES)
	@tests/run.sh $(B)

run: all $(PROGRAMS)
	@tests/programs/run.sh $(B)

check-programs: all $(PROGRAMS)
	@tests/programs/check.sh $(B)

model:
	@tests/model/run.sh

storm: all $(B)/tests/storm
	@tests/storm/run.sh $(B) 10000 $(SEED)

fuzz: all $(B)/tests/fuzz-diff
	$(B)/tests/fuzz-diff --shim $(B)/libefdshim.so --seed $(SEED) --ops $(N)
	EFDSHIM_FAST=0 $(B)/tests/fuzz-diff --shim $(B)/libefdshim.so --seed $(SEED) --ops $(N)

bench: all $(BENCHES)
	@bench/run.sh $(B)

bench-quick: all $(BENCHES)
	@bench/run.sh $(B) quick

C_FILES = $(wildcard shim/*/*.[ch] include/*/*.h tests/*/*.[ch] bench/*.[ch])

lint:
	@tests/need.sh clang-format clang-tidy cppcheck shellcheck
	clang-format --dry-run -Werror $(C_FILES)
	clang-tidy --quiet $(wildcard shim/*/*.c) -- $(SHIMFLAGS) 2>/dev/null
	cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability --std=c11 \
		--inline-suppr -Iinclude -Ishim shim include
	shellcheck -x -P SCRIPTDIR -P tests/shim -S warning tests/*.sh tests/*/*.sh bench/*.sh .ci/run

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib $(DESTDIR)$(PREFIX)/include/efdshim
	install -m 755 $(B)/efdshim $(DESTDIR)$(PREFIX)/bin/
	install -m 755 $(B)/libefdshim.so $(DESTDIR)$(PREFIX)/lib/
	install -m 644 include/efdshim/*.h $(DESTDIR)$(PREFIX)/include/efdshim/
	install -d $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/share/man/man3
	install -m 644 shim/man/*.3 $(DESTDIR)$(PREFIX)/share/man/man3/
	sed 's|^prefix=.*|prefix=$(PREFIX)|' shim/efdshim.pc >$(DESTDIR)$(PREFIX)/lib/pkgconfig/efdshim.pc

clean:
	rm -rf $(B)

.PHONY: all criterion check run check-programs model storm fuzz bench bench-quick lint install clean
.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
