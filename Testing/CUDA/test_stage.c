/* Stages of the library that VERDIFF_TEST_BACKEND names: what the host writes arrives, what the device
 * makes comes back, whichever of its streams is late. */
#include "net_test.h"
#include "op_backend.h"

enum { COUNT = 3000, BYTES = COUNT * 4 };

typedef struct {
    vdn_ctx ctx;
    vdni_device *device;
    const vdni_backend *b;
    vdni_stage there, back;
    void *x, *y;
} world;

static const char *const modes[] = { "", "late", "copies", "computing" };

static void open_world(world *v, const char *mode, int32_t twin)
{
    memset(v, 0, sizeof *v);
    (void)setenv("VERDIFF_EMULATION_STREAMS", mode, 1);
    vdni_ctx_init(&v->ctx);
    v->b = op_backend();
    EXPECT_OK(&v->ctx, v->b->open(&v->ctx, &v->device, 0, 1, VDNI_PREPARE_PLAIN));
    if (!v->device) exit(1);
    EXPECT_OK(&v->ctx, v->b->stage_create(&v->ctx, v->device, &v->there, BYTES, twin));
    EXPECT_OK(&v->ctx, v->b->stage_create(&v->ctx, v->device, &v->back, BYTES, twin));
    EXPECT((v->there.twin != NULL) == twin && v->there.bytes == BYTES);
    EXPECT_OK(&v->ctx, v->b->allocate(&v->ctx, v->device, &v->x, BYTES));
    EXPECT_OK(&v->ctx, v->b->allocate(&v->ctx, v->device, &v->y, BYTES));
}

static void close_world(world *v)
{
    v->b->stage_free(&v->ctx, v->device, &v->there);
    v->b->stage_free(&v->ctx, v->device, &v->back);
    v->b->release(&v->ctx, v->device, v->x);
    v->b->release(&v->ctx, v->device, v->y);
    EXPECT(v->there.host == NULL && v->there.own == NULL);
    v->b->stage_free(&v->ctx, v->device, &v->there); /* one that was never made */
    v->b->close(&v->ctx, v->device);
    EXPECT(v->ctx.now_bytes == 0);
    (void)unsetenv("VERDIFF_EMULATION_STREAMS");
}

static void fill(vdni_stage *stage, int32_t number)
{
    int32_t *values = stage->host;
    for (int32_t i = 0; i < COUNT; i++) values[i] = number * COUNT + i;
}

static void expect_filled(const vdni_stage *stage, int32_t number)
{
    const int32_t *values = stage->host;
    int wrong = 0;
    for (int32_t i = 0; i < COUNT; i++) wrong += values[i] != number * COUNT + i;
    EXPECT(wrong == 0);
}

static void send(world *v, int32_t number)
{
    EXPECT_OK(&v->ctx, v->b->stage_wait(&v->ctx, v->device, &v->there));
    fill(&v->there, number);
    EXPECT_OK(&v->ctx, v->b->stage_send(&v->ctx, v->device, &v->there));
}

static void take(world *v)
{
    EXPECT_OK(&v->ctx, v->b->stage_take(&v->ctx, v->device, &v->there, v->x, 0, BYTES));
    EXPECT_OK(&v->ctx, v->b->copy(&v->ctx, v->device, v->y, v->x, BYTES)); /* the computing */
}

/* The next block is sent before what the last one led to is waited for, or even asked for. */
static void blocks_follow_each_other(void)
{
    for (int i = 0; i < 16; i++) {
        const int32_t twin = i / 4 % 2, early = i / 8;
        world v;
        open_world(&v, modes[i % 4], twin);
        send(&v, 0);
        for (int32_t n = 0; n < 4; n++) {
            take(&v);
            if (early) send(&v, n + 1);
            EXPECT_OK(&v.ctx, v.b->stage_fetch(&v.ctx, v.device, &v.back, v.y, BYTES));
            if (!early) send(&v, n + 1);
            EXPECT_OK(&v.ctx, v.b->stage_wait(&v.ctx, v.device, &v.back));
            expect_filled(&v.back, n);
        }
        close_world(&v);
    }
}

/* Taken twice, in parts; fetched twice without a wait between: the last one counts. */
static void a_block_is_taken_in_parts(void)
{
    for (int i = 0; i < 8; i++) {
        world v;
        open_world(&v, modes[i % 4], i / 4);
        send(&v, 7);
        EXPECT_OK(&v.ctx, v.b->stage_take(&v.ctx, v.device, &v.there, v.y, 0, BYTES));
        EXPECT_OK(&v.ctx, v.b->stage_fetch(&v.ctx, v.device, &v.back, v.y, BYTES));
        for (int64_t part = 0; part < 3; part++)
            EXPECT_OK(&v.ctx,
                      v.b->stage_take(&v.ctx, v.device, &v.there, (char *)v.y + part * BYTES / 3,
                                      (2 - part) * BYTES / 3, BYTES / 3));
        EXPECT_OK(&v.ctx, v.b->stage_fetch(&v.ctx, v.device, &v.back, v.y, BYTES));
        EXPECT_OK(&v.ctx, v.b->stage_wait(&v.ctx, v.device, &v.back));
        const int32_t *found = v.back.host;
        int wrong = 0;
        for (int32_t k = 0; k < COUNT; k++)
            wrong += found[k] != 7 * COUNT + (2 - k / (COUNT / 3)) * (COUNT / 3) + k % (COUNT / 3);
        EXPECT(wrong == 0);
        close_world(&v);
    }
}

/* Freed while copies are on their way. */
static void free_waits(void)
{
    for (int i = 0; i < 8; i++) {
        world v;
        open_world(&v, modes[i % 4], i / 4);
        send(&v, 1);
        take(&v);
        EXPECT_OK(&v.ctx, v.b->stage_fetch(&v.ctx, v.device, &v.back, v.y, BYTES));
        close_world(&v);
    }
}

static void new_blocks_are_zero_and_counted(void)
{
    world v;
    vdni_device_info before, after;
    vdni_stage more;
    open_world(&v, "", 0);
    v.b->describe(v.device, &before);
    const int64_t held = v.ctx.now_bytes;
    EXPECT_OK(&v.ctx, v.b->stage_create(&v.ctx, v.device, &more, BYTES, 1));
    v.b->describe(v.device, &after);
    EXPECT(v.ctx.now_bytes >= held + BYTES && after.now_bytes == before.now_bytes + BYTES);
    const unsigned char *bytes = more.host;
    int any = 0;
    for (int i = 0; i < BYTES; i++) any |= bytes[i];
    EXPECT(!any);
    v.b->stage_free(&v.ctx, v.device, &more);
    v.b->describe(v.device, &after);
    EXPECT(v.ctx.now_bytes == held && after.now_bytes == before.now_bytes);
    for (int64_t refuse = 0; refuse < 4; refuse++) {
        v.ctx.refuse_after = v.ctx.allocations + refuse;
        const vdn_status status = v.b->stage_create(&v.ctx, v.device, &more, BYTES, 1);
        v.ctx.refuse_after = -1;
        EXPECT(status == (refuse < 3 ? VDN_ERR_MEMORY : VDN_OK));
        EXPECT(status == VDN_OK || (!more.host && !more.own));
        v.b->stage_free(&v.ctx, v.device, &more);
        EXPECT(v.ctx.now_bytes == held);
    }
    close_world(&v);
}

int main(void)
{
    if (!getenv("VERDIFF_TEST_BACKEND")) {
        printf("skipped: VERDIFF_TEST_BACKEND names no CUDA library\n");
        return 77;
    }
    RUN(blocks_follow_each_other);
    RUN(a_block_is_taken_in_parts);
    RUN(free_waits);
    RUN(new_blocks_are_zero_and_counted);
    return test_result();
}
