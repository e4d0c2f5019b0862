/* Invariants. A broken one stops the process, in release builds too: a store that no longer understands its
 * own state must not go on writing. */
#ifndef PD_BASE_ASSERT_H
#define PD_BASE_ASSERT_H

#define PD_ASSERT(condition) \
	((condition) ? (void)0 : pd_assert_failed(#condition, __FILE__, __LINE__, __func__))

_Noreturn void pd_assert_failed(const char *condition, const char *file, int line, const char *function);

#endif
