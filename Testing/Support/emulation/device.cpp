/* Threads of a kernel as fibers. A fiber runs threads to their ends one after another and gives way
 * only when one of them waits; that thread then keeps the fiber and another takes the rest. */
#include "threads.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <numeric>
#include <vector>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulation
{

place here;

namespace
{

#if defined(__SANITIZE_ADDRESS__)
enum { STACK_BYTES = 256 * 1024 };
#else
enum { STACK_BYTES = 64 * 1024 };
#endif
enum { MOST_THREADS = 1024, WARP = 32 };

/* ---- fibers ---- */

struct context {
#if defined(__x86_64__)
    void *stack_pointer;
#else
    ucontext_t state;
#endif
    void *stack; /* lowest address; NULL = the caller's own */
    size_t stack_bytes;
    context *next; /* in the pool */
};

context scheduler;
context *running;
context *pool;

void fiber_main();

#if defined(__x86_64__)
extern "C" void verdiff_emulation_switch(void **save, void *load);
asm(".text\n"
    ".hidden verdiff_emulation_switch\n"
    ".globl verdiff_emulation_switch\n"
    ".type verdiff_emulation_switch,@function\n"
    "verdiff_emulation_switch:\n"
    "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n    pushq %r13\n    pushq %r14\n    pushq "
    "%r15\n"
    "    movq %rsp, (%rdi)\n"
    "    movq %rsi, %rsp\n"
    "    popq %r15\n    popq %r14\n    popq %r13\n    popq %r12\n    popq %rbx\n    popq %rbp\n"
    "    ret\n"
    ".size verdiff_emulation_switch, . - verdiff_emulation_switch\n");
#endif

void transfer(context *from, context *to)
{
    running = to;
#if defined(__SANITIZE_ADDRESS__)
    void *kept = nullptr;
    __sanitizer_start_switch_fiber(&kept, to->stack, to->stack_bytes);
#endif
#if defined(__x86_64__)
    verdiff_emulation_switch(&from->stack_pointer, to->stack_pointer);
#else
    swapcontext(&from->state, &to->state);
#endif
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(kept, nullptr, nullptr);
#endif
}

void fiber_start()
{
#if defined(__SANITIZE_ADDRESS__)
    const void *bottom = nullptr;
    size_t bytes = 0;
    __sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
    if (!scheduler.stack)
        scheduler.stack = const_cast<void *>(bottom), scheduler.stack_bytes = bytes;
#endif
    fiber_main();
}

context *new_fiber()
{
    if (pool) {
        context *kept = pool;
        pool = kept->next;
        return kept;
    }
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    context *fiber = new context();
    char *memory = static_cast<char *>(mmap(nullptr, STACK_BYTES + page, PROT_READ | PROT_WRITE,
                                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (memory == MAP_FAILED || mprotect(memory, page, PROT_NONE)) abort();
    fiber->stack = memory + page; /* running over it faults */
    fiber->stack_bytes = STACK_BYTES;
#if defined(__x86_64__)
    void **top = reinterpret_cast<void **>(memory + page + STACK_BYTES);
    *--top = nullptr; /* where fiber_start would return to; also its alignment */
    *--top = reinterpret_cast<void *>(&fiber_start);
    for (int i = 0; i < 6; i++) *--top = nullptr;
    fiber->stack_pointer = top;
#else
    getcontext(&fiber->state);
    fiber->state.uc_stack.ss_sp = fiber->stack;
    fiber->state.uc_stack.ss_size = STACK_BYTES;
    makecontext(&fiber->state, fiber_start, 0);
#endif
    return fiber;
}

/* ---- threads of the running block ---- */

enum state { FRESH, READY, AT_BARRIER, IN_WARP, DONE };

struct thread {
    state is;
    unsigned ready_from; /* pass */
    context *fiber;
    warp_operation operation;
    unsigned mask;
    uint64_t value, result;
    int from;
    unsigned tile_operations;
};

thread threads[MOST_THREADS];
uint3 places[MOST_THREADS];
unsigned order[MOST_THREADS];
unsigned count, at_barrier, done, position, pass;
const void *kernel_now;
const std::function<void()> *body_now;
std::mutex one_grid;

void enter(unsigned which)
{
    here.linear = which;
    here.thread = places[which];
}

void fiber_main()
{
    for (;;) {
        while (position < count && threads[order[position]].is == FRESH) {
            const unsigned which = order[position++];
            enter(which);
            (*body_now)();
            threads[which].is = DONE;
            done++;
        }
        context *self = running;
        self->next = pool;
        pool = self;
        transfer(self, &scheduler);
    }
}

void wait()
{
    const unsigned which = here.linear;
    threads[which].fiber = running;
    transfer(running, &scheduler);
    enter(which);
}

void release(thread *t)
{
    t->is = READY;
    t->ready_from = pass + 1;
}

/* ---- messages ---- */

void print_kernel()
{
    Dl_info info;
    char command[640], line[512] = "";
    if (!dladdr(kernel_now, &info) || !info.dli_fname) {
        fprintf(stderr, "kernel %p", kernel_now);
        return;
    }
    const unsigned long offset = (unsigned long)((const char *)kernel_now - (char *)info.dli_fbase);
    snprintf(command, sizeof command, "addr2line -fCe '%s' 0x%lx 2>/dev/null", info.dli_fname,
             offset);
    FILE *names = popen(command, "r");
    if (!names || !fgets(line, sizeof line, names) || line[0] == '?')
        snprintf(line, sizeof line, "%s+0x%lx", info.dli_fname, offset);
    if (names) pclose(names);
    line[strcspn(line, "\n")] = 0;
    fprintf(stderr, "kernel %s", line);
}

void print_where()
{
    fprintf(stderr, "emulation: ");
    print_kernel();
    fprintf(stderr, ", block (%u, %u, %u): ", here.block.x, here.block.y, here.block.z);
}

[[noreturn]] void stuck()
{
    unsigned warps = 0;
    for (unsigned i = 0; i < count; i++) warps += threads[i].is == IN_WARP;
    print_where();
    fprintf(
        stderr,
        "of %u threads %u wait at a barrier, %u in a warp operation with missing lanes, %u have "
        "returned\n",
        count, at_barrier, warps, done);
    abort();
}

/* Where a kernel was when it touched what is not its own. */
void on_fault(int number)
{
    if (kernel_now) {
        print_where();
        fprintf(stderr, "thread (%u, %u, %u): %s\n", here.thread.x, here.thread.y, here.thread.z,
                strsignal(number));
    }
    signal(number, SIG_DFL);
    raise(number);
}

void watch_faults()
{
    static bool watched;
    static char stack[64 * 1024];
    if (watched) return;
    watched = true;
    stack_t other = {};
    other.ss_sp = stack;
    other.ss_size = sizeof stack;
    sigaltstack(&other, nullptr);
    for (int number : { SIGSEGV, SIGBUS, SIGFPE, SIGILL }) {
        struct sigaction now, wanted = {};
        sigaction(number, nullptr, &now);
        if (now.sa_handler != SIG_DFL) continue;
        wanted.sa_handler = on_fault;
        wanted.sa_flags = SA_ONSTACK | SA_NODEFER;
        sigaction(number, &wanted, nullptr);
    }
}

/* ---- order ---- */

struct order_choice {
    enum { UP, DOWN, RANDOM } kind = UP;
    uint64_t seed = 0;
};

order_choice chosen_order()
{
    order_choice choice;
    const char *text = getenv("VERDIFF_EMULATION_ORDER");
    if (!text || !strcmp(text, "up") || !text[0]) return choice;
    if (!strcmp(text, "down")) {
        choice.kind = order_choice::DOWN;
    } else if (!strncmp(text, "random:", 7)) {
        choice.kind = order_choice::RANDOM;
        choice.seed = strtoull(text + 7, nullptr, 10) * 2 + 1;
    } else {
        fprintf(stderr, "VERDIFF_EMULATION_ORDER=%s: up, down or random:<seed>\n", text);
        abort();
    }
    return choice;
}

template <class T> void shuffle(T *first, size_t items, uint64_t *seed)
{
    for (size_t i = items; i > 1; i--) {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        std::swap(first[i - 1], first[*seed % i]);
    }
}

template <class T> void arrange(T *first, size_t items, const order_choice &choice)
{
    std::iota(first, first + items, (T)0);
    if (choice.kind == order_choice::DOWN) std::reverse(first, first + items);
}

void check_tile_operations()
{
    for (unsigned i = 0; i < count; i++)
        if (threads[i].tile_operations != threads[i / WARP * WARP].tile_operations ||
            (threads[i].tile_operations && count % WARP))
            stop("lanes of a warp made different numbers of tile operations");
}

void run_block(order_choice *choice)
{
    for (unsigned i = 0; i < count; i++) {
        threads[i].is = FRESH;
        threads[i].tile_operations = 0;
    }
    at_barrier = done = 0;
    for (pass = 0; done < count; pass++) {
        bool moved = false;
        if (choice->kind == order_choice::RANDOM) shuffle(order, count, &choice->seed);
        for (position = 0; position < count;) {
            thread *t = &threads[order[position]];
            if (t->is == FRESH) {
                moved = true;
                transfer(&scheduler, new_fiber());
            } else if (position++, t->is == READY && t->ready_from <= pass) {
                moved = true;
                transfer(&scheduler, t->fiber);
            }
        }
        if (!moved) stuck();
    }
    check_tile_operations();
}

void place_threads(dim3 block)
{
    unsigned i = 0;
    for (unsigned z = 0; z < block.z; z++)
        for (unsigned y = 0; y < block.y; y++)
            for (unsigned x = 0; x < block.x; x++) places[i++] = { x, y, z };
    count = i;
}

/* The lanes of @p mask that exist wait for the same thing: give each its result. */
void finish_warp(unsigned first, unsigned lanes, unsigned mask)
{
    unsigned votes = 0;
    for (unsigned i = 0; i < lanes; i++)
        if (mask >> i & 1u) votes |= (unsigned)(threads[first + i].value != 0) << i;
    for (unsigned i = 0; i < lanes; i++) {
        thread *t = &threads[first + i];
        if (!(mask >> i & 1u)) continue;
        const unsigned from = (unsigned)t->from;
        if (t->operation == WARP_BALLOT)
            t->result = votes;
        else if (from < lanes && mask >> from & 1u)
            t->result = threads[first + from].value;
        else
            t->result = ~(uint64_t)0;
        release(t);
    }
}

} // namespace

void stop(const char *what)
{
    print_where();
    fprintf(stderr, "thread (%u, %u, %u): %s\n", here.thread.x, here.thread.y, here.thread.z, what);
    abort();
}

void barrier()
{
    threads[here.linear].is = AT_BARRIER;
    if (++at_barrier == count) {
        at_barrier = 0;
        for (unsigned i = 0; i < count; i++) release(&threads[i]);
    }
    wait();
}

uint64_t warp(warp_operation operation, unsigned mask, uint64_t value, int from)
{
    thread *self = &threads[here.linear];
    const unsigned first = here.linear / WARP * WARP,
                   lanes = std::min(count - first, (unsigned)WARP);
    if (!(mask >> (here.linear - first) & 1u)) stop("a warp operation without its own lane");
    self->is = IN_WARP;
    self->operation = operation;
    self->mask = mask;
    self->value = value;
    self->from = from;
    bool complete = true;
    for (unsigned i = 0; i < lanes; i++) {
        const thread *t = &threads[first + i];
        if (mask >> i & 1u)
            complete &= t->is == IN_WARP && t->mask == mask && t->operation == operation;
    }
    if (complete) finish_warp(first, lanes, mask);
    wait();
    return self->result;
}

void count_tile_operation() { threads[here.linear].tile_operations++; }

void run_grid(const void *kernel, dim3 grid, dim3 block, const std::function<void()> &body)
{
    std::lock_guard<std::mutex> lock(one_grid);
    order_choice choice = chosen_order();
    const size_t blocks = (size_t)grid.x * grid.y * grid.z;
    std::vector<size_t> block_order(choice.kind == order_choice::RANDOM ? blocks : 0);
    watch_faults();
    kernel_now = kernel;
    body_now = &body;
    here.block_size = block;
    here.grid_size = grid;
    place_threads(block);
    arrange(order, count, choice);
    arrange(block_order.data(), block_order.size(), choice);
    shuffle(block_order.data(), block_order.size(), &choice.seed);
    for (size_t i = 0; i < blocks; i++) {
        const size_t b = choice.kind == order_choice::UP     ? i
                         : choice.kind == order_choice::DOWN ? blocks - 1 - i
                                                             : block_order[i];
        here.block = { (unsigned)(b % grid.x), (unsigned)(b / grid.x % grid.y),
                       (unsigned)(b / grid.x / grid.y) };
        run_block(&choice);
    }
    kernel_now = nullptr;
}

} // namespace emulation
