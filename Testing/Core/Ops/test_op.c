/* The records of op.h themselves; what each kind computes is in the test of its stem. */
#include "Ops/op.h"
#include "test.h"

static vdn_ctx ctx;

static void every_kind_has_its_own_name(void)
{
    for (int a = 0; a < VDNI_OP_COUNT; a++) {
        const char *const name = vdni_op_name((vdni_op_kind)a);
        EXPECT(name && name[0]);
        for (int b = 0; b < a && name; b++)
            EXPECT(strcmp(name, vdni_op_name((vdni_op_kind)b)) != 0);
    }
    EXPECT(strcmp(vdni_op_name(VDNI_OP_CONV_DX), "CONV_DX") == 0);
    EXPECT(strcmp(vdni_op_name(VDNI_OP_NOISE_LOSS), "NOISE_LOSS") == 0);
    EXPECT(strcmp(vdni_op_name(VDNI_OP_COUNT), "unknown operator") == 0);
    EXPECT(strcmp(vdni_op_name((vdni_op_kind)-1), "unknown operator") == 0);
}

static void every_kind_has_slots_that_exist(void)
{
    for (int k = 0; k < VDNI_OP_COUNT; k++) {
        const vdni_op_slots s = vdni_op_get_slots((vdni_op_kind)k);
        EXPECT(s.in_count >= 1 && s.in_count <= VDNI_MAX_IN);
        EXPECT(s.out_count >= 1 && s.out_count <= VDNI_MAX_OUT);
        EXPECT(s.in_required != 0 && s.in_required >> s.in_count == 0);
        EXPECT(s.out_required >> s.out_count == 0);
    }
    EXPECT(vdni_op_get_slots(VDNI_OP_COUNT).in_count == 0);
}

/* The table of op.h, for the kinds with the most slots. */
static void slots_are_those_of_the_table(void)
{
    static const struct {
        vdni_op_kind kind;
        vdni_op_slots slots;
    } known[] = {
        { VDNI_OP_CONV, { 4, 1, 3, 1 } },           { VDNI_OP_NORM, { 5, 2, 7, 3 } },
        { VDNI_OP_NORM_BACKWARD, { 7, 4, 31, 1 } }, { VDNI_OP_CONCAT, { 6, 1, 1, 1 } },
        { VDNI_OP_SPLIT, { 1, 6, 1, 0 } },          { VDNI_OP_GATE_BACKWARD, { 4, 3, 15, 7 } },
        { VDNI_OP_COMBINE, { 5, 1, 3, 1 } }
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const vdni_op_slots s = vdni_op_get_slots(known[i].kind);
        EXPECT(memcmp(&s, &known[i].slots, sizeof s) == 0);
    }
}

/* Tensors of one element in every slot that @p kind may use. */
static vdni_op full_op(vdni_op_kind kind, vdni_tensor *one)
{
    const vdni_op_slots s = vdni_op_get_slots(kind);
    vdni_op op = { .kind = kind };
    for (int i = 0; i < s.in_count; i++) op.in[i] = one;
    for (int i = 0; i < s.out_count; i++) op.out[i] = one;
    return op;
}

static void expect_refused(const vdni_op *op, const char *side, int slot, const char *what)
{
    char wanted[96];
    (void)snprintf(wanted, sizeof wanted, "%s: %s %d %s", vdni_op_name(op->kind), side, slot, what);
    vdni_clear_error(&ctx);
    EXPECT(vdni_op_check(&ctx, op) == VDN_ERR_ARGUMENT);
    EXPECT(strncmp(ctx.error, wanted, strlen(wanted)) == 0);
    if (strncmp(ctx.error, wanted, strlen(wanted)) != 0) printf("  %s\n", ctx.error);
}

static void a_missing_slot_is_refused_by_kind_and_number(void)
{
    vdni_tensor one = { 1, 1, 1, 1, VDNI_F32, NULL, NULL };
    for (int k = 0; k < VDNI_OP_COUNT; k++) {
        const vdni_op_slots s = vdni_op_get_slots((vdni_op_kind)k);
        for (int i = 0; i < VDNI_MAX_IN; i++) {
            vdni_op op = full_op((vdni_op_kind)k, &one);
            op.in[i] = NULL;
            if (s.in_required >> i & 1u) expect_refused(&op, "input", i, "is missing");
        }
        for (int i = 0; i < VDNI_MAX_OUT; i++) {
            vdni_op op = full_op((vdni_op_kind)k, &one);
            op.out[i] = NULL;
            if (s.out_required >> i & 1u) expect_refused(&op, "output", i, "is missing");
        }
    }
}

static void an_extra_slot_is_refused_by_kind_and_number(void)
{
    vdni_tensor one = { 1, 1, 1, 1, VDNI_F32, NULL, NULL };
    for (int k = 0; k < VDNI_OP_COUNT; k++) {
        const vdni_op_slots s = vdni_op_get_slots((vdni_op_kind)k);
        for (int i = s.in_count; i < VDNI_MAX_IN; i++) {
            vdni_op op = full_op((vdni_op_kind)k, &one);
            op.in[i] = &one;
            expect_refused(&op, "input", i, "is set, it takes");
        }
        for (int i = s.out_count; i < VDNI_MAX_OUT; i++) {
            vdni_op op = full_op((vdni_op_kind)k, &one);
            op.out[i] = &one;
            expect_refused(&op, "output", i, "is set, it takes");
        }
    }
}

static void an_impossible_tensor_is_refused_by_kind_and_slot(void)
{
    vdni_tensor one = { 1, 1, 1, 1, VDNI_F32, NULL, NULL };
    vdni_tensor none = { 1, 0, 1, 1, VDNI_F32, NULL, NULL };
    for (int k = 0; k < VDNI_OP_COUNT; k++) {
        const vdni_op_slots s = vdni_op_get_slots((vdni_op_kind)k);
        vdni_op op = full_op((vdni_op_kind)k, &one);
        op.in[s.in_count - 1] = &none;
        expect_refused(&op, "input", s.in_count - 1, "has shape (1, 0, 1, 1) f32");
        op = full_op((vdni_op_kind)k, &one);
        op.out[s.out_count - 1] = &none;
        expect_refused(&op, "output", s.out_count - 1, "has shape (1, 0, 1, 1) f32");
    }
}

/* Tensors of four different odd shapes in all slots are no valid call of any kind. */
static void every_kind_checks_its_shapes(void)
{
    static vdni_tensor odd[VDNI_MAX_IN + VDNI_MAX_OUT];
    for (int i = 0; i < VDNI_MAX_IN + VDNI_MAX_OUT; i++)
        odd[i] = (vdni_tensor){ 2 + i, 3 + 2 * i, 5 + i, 7 + 3 * i, VDNI_F32, NULL, NULL };
    for (int k = 0; k < VDNI_OP_COUNT; k++) {
        const vdni_op_slots s = vdni_op_get_slots((vdni_op_kind)k);
        const char *const name = vdni_op_name((vdni_op_kind)k);
        vdni_op op = { .kind = (vdni_op_kind)k };
        for (int i = 0; i < s.in_count; i++) op.in[i] = &odd[i];
        for (int i = 0; i < s.out_count; i++) op.out[i] = &odd[VDNI_MAX_IN + i];
        vdni_clear_error(&ctx);
        EXPECT(vdni_op_check(&ctx, &op) == VDN_ERR_ARGUMENT);
        EXPECT(strncmp(ctx.error, name, strlen(name)) == 0 && ctx.error[strlen(name)] == ':');
    }
}

static void an_unknown_kind_is_refused(void)
{
    static const int bad[] = { -1, VDNI_OP_COUNT, 1 << 20 };
    for (int i = 0; i < 3; i++) {
        const vdni_op op = { .kind = (vdni_op_kind)bad[i] };
        vdni_clear_error(&ctx);
        EXPECT(vdni_op_check(&ctx, &op) == VDN_ERR_ARGUMENT);
        EXPECT(strncmp(ctx.error, "operator kind ", 14) == 0);
    }
}

/* Counted one multiplication at a time. */
static int64_t conv_macs(const vdni_tensor *y, const vdni_tensor *w, int depthwise)
{
    int64_t macs = 0;
    for (int64_t i = 0; i < y->n * y->h * y->w; i++)
        for (int64_t o = 0; o < y->c; o++)
            for (int64_t k = 0; k < w->h * w->w; k++) macs += depthwise ? 1 : w->c;
    return macs;
}

static void multiplications_are_counted(void)
{
    vdni_tensor x = { 2, 9, 7, 6, VDNI_F32, NULL, NULL }, y = { 2, 5, 4, 10, VDNI_F32, NULL, NULL };
    vdni_tensor w = { 10, 3, 3, 6, VDNI_F32, NULL, NULL };
    vdni_op op = { .kind = VDNI_OP_CONV, .in = { &x, &w }, .out = { &y } };
    EXPECT(vdni_op_macs(&op) == conv_macs(&y, &w, 0));
    op = (vdni_op){ .kind = VDNI_OP_CONV_DX, .in = { &y, &w }, .out = { &x } };
    EXPECT(vdni_op_macs(&op) == conv_macs(&y, &w, 0));
    op = (vdni_op){ .kind = VDNI_OP_CONV_DW, .in = { &x, &y }, .out = { &w } };
    EXPECT(vdni_op_macs(&op) == conv_macs(&y, &w, 0));

    vdni_tensor z = { 2, 9, 7, 6, VDNI_F32, NULL, NULL }, d = { 1, 5, 5, 6, VDNI_F32, NULL, NULL };
    op = (vdni_op){ .kind = VDNI_OP_DEPTHWISE, .in = { &x, &d }, .out = { &z } };
    EXPECT(vdni_op_macs(&op) == conv_macs(&z, &d, 1));
    op = (vdni_op){ .kind = VDNI_OP_DEPTHWISE_DX, .in = { &z, &d }, .out = { &x } };
    EXPECT(vdni_op_macs(&op) == conv_macs(&z, &d, 1));
    op = (vdni_op){ .kind = VDNI_OP_DEPTHWISE_DW, .in = { &x, &z }, .out = { &d } };
    EXPECT(vdni_op_macs(&op) == conv_macs(&z, &d, 1));

    vdni_tensor v = { 3, 1, 1, 4, VDNI_F32, NULL, NULL }, m = { 5, 1, 1, 4, VDNI_F32, NULL, NULL };
    vdni_tensor u = { 3, 1, 1, 5, VDNI_F32, NULL, NULL };
    op = (vdni_op){ .kind = VDNI_OP_LINEAR, .in = { &v, &m }, .out = { &u } };
    EXPECT(vdni_op_macs(&op) == 3 * 4 * 5);
    op = (vdni_op){ .kind = VDNI_OP_LINEAR_DX, .in = { &u, &m }, .out = { &v } };
    EXPECT(vdni_op_macs(&op) == 3 * 4 * 5);
    op = (vdni_op){ .kind = VDNI_OP_LINEAR_DW, .in = { &v, &u }, .out = { &m } };
    EXPECT(vdni_op_macs(&op) == 3 * 4 * 5);
}

/* Scores q k and sums P v: two products of L x L x C; backward: scores again, dP, dq, dk, dv. */
static void attention_is_counted_by_its_matrix_products(void)
{
    vdni_tensor qkv = { 2, 3, 5, 24, VDNI_F32, NULL, NULL },
                o = { 2, 3, 5, 8, VDNI_F32, NULL, NULL };
    vdni_tensor lse = { 2, 1, 2, 15, VDNI_F32, NULL, NULL };
    const int64_t product = INT64_C(2) * 15 * 15 * 8;
    vdni_op op = { .kind = VDNI_OP_ATTENTION, .in = { &qkv }, .out = { &o, &lse } };
    EXPECT(vdni_op_macs(&op) == 2 * product);
    op = (vdni_op){ .kind = VDNI_OP_ATTENTION_BACKWARD,
                    .in = { &o, &qkv, &o, &lse },
                    .out = { &qkv } };
    EXPECT(vdni_op_macs(&op) == 5 * product);
    op = (vdni_op){ .kind = VDNI_OP_WINDOW_ATTENTION, .a = { .kernel = 3 }, .in = { &qkv } };
    op.out[0] = &o;
    EXPECT(vdni_op_macs(&op) == 2 * INT64_C(2) * 15 * 9 * 8);
    op = (vdni_op){ .kind = VDNI_OP_WINDOW_ATTENTION_BACKWARD, .a = { .kernel = 3 } };
    op.in[3] = &o;
    EXPECT(vdni_op_macs(&op) == 5 * INT64_C(2) * 15 * 9 * 8);
}

static void everything_else_counts_nothing(void)
{
    vdni_tensor one = { 1, 1, 1, 1, VDNI_F32, NULL, NULL };
    for (int k = VDNI_OP_NORM; k < VDNI_OP_COUNT; k++) {
        const vdni_op op = full_op((vdni_op_kind)k, &one);
        if (k == VDNI_OP_ATTENTION || k == VDNI_OP_ATTENTION_BACKWARD) continue;
        if (k == VDNI_OP_WINDOW_ATTENTION || k == VDNI_OP_WINDOW_ATTENTION_BACKWARD) continue;
        EXPECT(vdni_op_macs(&op) == 0);
    }
}

int main(void)
{
    vdni_ctx_init(&ctx);
    RUN(every_kind_has_its_own_name);
    RUN(every_kind_has_slots_that_exist);
    RUN(slots_are_those_of_the_table);
    RUN(a_missing_slot_is_refused_by_kind_and_number);
    RUN(an_extra_slot_is_refused_by_kind_and_number);
    RUN(an_impossible_tensor_is_refused_by_kind_and_slot);
    RUN(every_kind_checks_its_shapes);
    RUN(an_unknown_kind_is_refused);
    RUN(multiplications_are_counted);
    RUN(attention_is_counted_by_its_matrix_products);
    RUN(everything_else_counts_nothing);
    EXPECT(ctx.now_bytes == 0);
    return test_result();
}
