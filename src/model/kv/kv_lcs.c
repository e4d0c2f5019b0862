/* LCS: the longest common subsequence of two strings, by the table of the lengths for all pairs of prefixes.
 * Source: D. S. Hirschberg, "Algorithms for the Longest Common Subsequence Problem", JACM 24 (1977), algorithm A. */
#include "base/memory.h"
#include "model/kv/kv_private.h"

struct options {
	bool length_only, ranges, range_lengths;
	int64_t range_min;
};

struct lcs {
	struct pd_slice a, b;
	uint32_t *lengths; /* (a.size + 1) rows of (b.size + 1) */
	const struct options *options;
};

/* Equal bytes next to each other in both strings; `size` 0: none at hand. */
struct run {
	size_t a, b, size;
};

static uint32_t *cell(const struct lcs *lcs, size_t i, size_t j)
{
	return &lcs->lengths[i * (lcs->b.size + 1) + j];
}

static void fill(struct lcs *lcs)
{
	for (size_t i = 0; i <= lcs->a.size; i++) {
		for (size_t j = 0; j <= lcs->b.size; j++) {
			uint32_t best = 0;

			if (i > 0 && j > 0 && lcs->a.data[i - 1] == lcs->b.data[j - 1])
				best = *cell(lcs, i - 1, j - 1) + 1;
			else if (i > 0 && j > 0)
				best = *cell(lcs, i - 1, j) > *cell(lcs, i, j - 1) ? *cell(lcs, i - 1, j)
										   : *cell(lcs, i, j - 1);
			*cell(lcs, i, j) = best;
		}
	}
}

static void write_run(struct pd_resp_writer *reply, const struct lcs *lcs, const struct run *run)
{
	pd_resp_write_array(reply, lcs->options->range_lengths ? 3 : 2);
	pd_resp_write_array(reply, 2);
	pd_resp_write_integer(reply, (int64_t)run->a);
	pd_resp_write_integer(reply, (int64_t)(run->a + run->size - 1));
	pd_resp_write_array(reply, 2);
	pd_resp_write_integer(reply, (int64_t)run->b);
	pd_resp_write_integer(reply, (int64_t)(run->b + run->size - 1));
	if (lcs->options->range_lengths)
		pd_resp_write_integer(reply, (int64_t)run->size);
}

/* Go back through the table. `bytes`: where the subsequence goes, may be NULL. `reply`: where the runs go, the last
 * first, may be NULL. Returns the number of runs that are long enough. */
static size_t trace(const struct lcs *lcs, uint8_t *bytes, struct pd_resp_writer *reply)
{
	size_t i = lcs->a.size, j = lcs->b.size;
	size_t at = *cell(lcs, i, j);
	struct run run = { .size = 0 };
	size_t runs = 0;

	for (;;) {
		bool equal = i > 0 && j > 0 && lcs->a.data[i - 1] == lcs->b.data[j - 1];

		if (!equal && run.size > 0) {
			if ((int64_t)run.size >= lcs->options->range_min) {
				runs++;
				if (reply != NULL)
					write_run(reply, lcs, &run);
			}
			run.size = 0;
		}
		if (i == 0 || j == 0)
			return runs;
		if (equal) {
			i--;
			j--;
			run = (struct run){ .a = i, .b = j, .size = run.size + 1 };
			if (bytes != NULL)
				bytes[--at] = lcs->a.data[i];
		} else if (*cell(lcs, i - 1, j) > *cell(lcs, i, j - 1)) {
			i--;
		} else {
			j--;
		}
	}
}

/* false: the error reply is written. */
static bool parse_options(struct pd_call *call, struct options *ret_options)
{
	struct options options = { .range_min = 0 };

	for (size_t i = 3; i < call->count; i++) {
		struct pd_slice word = call->words[i];

		if (pd_slice_equal_nocase(word, "idx")) {
			options.ranges = true;
		} else if (pd_slice_equal_nocase(word, "len")) {
			options.length_only = true;
		} else if (pd_slice_equal_nocase(word, "withmatchlen")) {
			options.range_lengths = true;
		} else if (pd_slice_equal_nocase(word, "minmatchlen") && i + 1 < call->count) {
			if (!pd_kv_integer_argument(call, call->words[++i], &options.range_min))
				return false;
		} else {
			pd_kv_error_syntax(call);
			return false;
		}
	}
	if (options.ranges && options.length_only) {
		pd_resp_write_error(call->reply,
				    "ERR If you want both the length and indexes, please just use IDX.");
		return false;
	}
	*ret_options = options;
	return true;
}

/* *ret_text: the string at a key, empty without one. *wrong_type becomes true for another type. */
static int find_text(struct pd_call *call, struct pd_slice name, struct pd_slice *ret_text, bool *wrong_type)
{
	struct pd_entry entry;
	struct pd_key key;
	int r = pd_kv_key(call, name, &key);

	if (r < 0)
		return r;
	*ret_text = pd_slice(NULL, 0);
	if (!pd_txn_get(call->txn, &key, &entry)) {
		pd_kv_tell_missed(call, &key);
		return 0;
	}
	r = pd_kv_whole(call, &key, &entry);
	if (r < 0)
		return r;
	if (entry.type != PD_TYPE_STRING)
		*wrong_type = true;
	else
		*ret_text = entry.value;
	return 0;
}

static int write_result(struct pd_call *call, const struct lcs *lcs)
{
	uint32_t length = *cell(lcs, lcs->a.size, lcs->b.size);
	uint8_t *bytes;

	if (lcs->options->length_only) {
		pd_resp_write_integer(call->reply, length);
		return 0;
	}
	if (lcs->options->ranges) {
		pd_resp_write_map(call->reply, 2);
		pd_resp_write_bulk_string(call->reply, "matches");
		pd_resp_write_array(call->reply, trace(lcs, NULL, NULL));
		(void)trace(lcs, NULL, call->reply);
		pd_resp_write_bulk_string(call->reply, "len");
		pd_resp_write_integer(call->reply, length);
		return 0;
	}
	bytes = pd_malloc(length);
	if (bytes == NULL)
		return pd_error_set(call->err, PD_NO_MEMORY, "out of memory for the reply to LCS");
	(void)trace(lcs, bytes, NULL);
	pd_resp_write_bulk(call->reply, pd_slice(bytes, length));
	pd_free(bytes);
	return 0;
}

int pd_kv_lcs(struct pd_call *call)
{
	struct options options;
	struct lcs lcs = { .options = &options };
	struct pd_kv_work work;
	bool wrong_type = false;
	size_t cells;
	int r = find_text(call, call->words[1], &lcs.a, &wrong_type);

	if (r == 0)
		r = find_text(call, call->words[2], &lcs.b, &wrong_type);
	if (r < 0)
		return r;
	if (wrong_type) {
		pd_resp_write_error(call->reply, "ERR The specified keys must contain string values");
		return 0;
	}
	if (!parse_options(call, &options))
		return 0;
	if (__builtin_mul_overflow(lcs.a.size + 1, lcs.b.size + 1, &cells) ||
	    cells > PD_VALUE_SIZE_MAX / sizeof *lcs.lengths) {
		pd_resp_write_error(call->reply, "ERR Insufficient memory, transient memory for LCS exceeds "
						 "proto-max-bulk-len");
		return 0;
	}
	r = pd_kv_work_begin(call, cells * sizeof *lcs.lengths, &work);
	if (r == PD_NO_MEMORY)
		return pd_error_set(
			call->err, r,
			"LCS of strings of %zu and %zu bytes needs a table of %zu KiB, which is more than a "
			"request may take now: compare shorter ones, or raise --memory-budget",
			lcs.a.size, lcs.b.size, cells * sizeof *lcs.lengths >> 10);
	if (r < 0)
		return r;
	lcs.lengths = (void *)work.bytes;
	fill(&lcs);
	r = write_result(call, &lcs);
	pd_kv_work_end(&work);
	return r;
}
