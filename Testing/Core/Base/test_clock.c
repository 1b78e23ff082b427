#include "Base/clock.h"
#include "test.h"

#include <time.h>

static void time_never_runs_backwards(void)
{
    int64_t last = vdni_clock_ns();
    EXPECT(last > 0);
    for (int i = 0; i < 100000; i++) {
        const int64_t now = vdni_clock_ns();
        EXPECT(now >= last);
        last = now;
    }
}

static void the_unit_is_the_nanosecond(void)
{
    const struct timespec pause = { 0, 20 * 1000 * 1000 };
    const int64_t before = vdni_clock_ns();
    EXPECT(nanosleep(&pause, NULL) == 0);
    const int64_t passed = vdni_clock_ns() - before;
    EXPECT(passed >= 20 * 1000 * 1000);
    EXPECT(passed <= INT64_C(20) * 1000 * 1000 * 1000); /* a very busy machine */
}

int main(void)
{
    RUN(time_never_runs_backwards);
    RUN(the_unit_is_the_nanosecond);
    return test_result();
}
