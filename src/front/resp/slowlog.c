#include "front/resp/slowlog.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"

struct pd_resp_slow_command {
	struct pd_resp_slow_command *older;
	uint64_t id, real_us, took_us;
	char peer[64], name[64];
	size_t word_count;
	struct {
		uint16_t size;
		char bytes[PD_RESP_SLOWLOG_BYTES_MAX];
	} words[];
};

void pd_resp_slowlog_init(struct pd_resp_slowlog *slowlog)
{
	*slowlog = (struct pd_resp_slowlog){ .max = PD_RESP_SLOWLOG_MAX,
					     .slower_than_us = PD_RESP_SLOWLOG_SLOWER_US };
}

static void keep(struct pd_resp_slowlog *slowlog, size_t most)
{
	struct pd_resp_slow_command **link = &slowlog->newest;

	for (size_t i = 0; i < most && *link != NULL; i++)
		link = &(*link)->older;
	while (*link != NULL) {
		struct pd_resp_slow_command *oldest = *link;

		*link = oldest->older;
		pd_free(oldest);
		slowlog->count--;
	}
}

void pd_resp_slowlog_clear(struct pd_resp_slowlog *slowlog)
{
	keep(slowlog, 0);
}

void pd_resp_slowlog_set_max(struct pd_resp_slowlog *slowlog, size_t max)
{
	slowlog->max = max;
	keep(slowlog, max);
}

/* One word, cut as Redis cuts it. */
static size_t cut_word(struct pd_slice word, char bytes[PD_RESP_SLOWLOG_BYTES_MAX])
{
	char more[48];
	int size;

	if (word.size <= PD_RESP_SLOWLOG_BYTES_MAX) {
		if (word.size > 0)
			memcpy(bytes, word.data, word.size);
		return word.size;
	}
	/* Redis keeps 128 bytes and writes this behind them; here both fit into 128. */
	size = snprintf(more, sizeof more, "... (%zu more bytes)", word.size - PD_RESP_SLOWLOG_BYTES_MAX);
	memcpy(bytes, word.data, PD_RESP_SLOWLOG_BYTES_MAX);
	memcpy(bytes + PD_RESP_SLOWLOG_BYTES_MAX - size, more, (size_t)size);
	return PD_RESP_SLOWLOG_BYTES_MAX;
}

void pd_resp_slowlog_note(struct pd_resp_slowlog *slowlog, uint64_t real_us, uint64_t took_us,
			  const struct pd_slice *words, size_t count, const char *peer, const char *name)
{
	size_t kept = count < PD_RESP_SLOWLOG_WORDS_MAX ? count : PD_RESP_SLOWLOG_WORDS_MAX;
	struct pd_resp_slow_command *slow;

	if (slowlog->max == 0)
		return;
	slow = pd_calloc(1, sizeof *slow + kept * sizeof slow->words[0]);
	if (slow == NULL)
		return;
	slow->id = slowlog->next_id++;
	slow->real_us = real_us;
	slow->took_us = took_us;
	slow->word_count = kept;
	(void)snprintf(slow->peer, sizeof slow->peer, "%s", peer);
	(void)snprintf(slow->name, sizeof slow->name, "%s", name);
	for (size_t i = 0; i < kept; i++)
		slow->words[i].size = (uint16_t)cut_word(words[i], slow->words[i].bytes);
	if (kept < count)
		slow->words[kept - 1].size = (uint16_t)snprintf(slow->words[kept - 1].bytes,
								PD_RESP_SLOWLOG_BYTES_MAX,
								"... (%zu more arguments)", count - kept + 1);
	slow->older = slowlog->newest;
	slowlog->newest = slow;
	slowlog->count++;
	keep(slowlog, slowlog->max);
}

void pd_resp_slowlog_write(const struct pd_resp_slowlog *slowlog, size_t most, struct pd_resp_writer *reply)
{
	const struct pd_resp_slow_command *slow = slowlog->newest;

	if (most > slowlog->count)
		most = slowlog->count;
	pd_resp_write_array(reply, most);
	for (; most > 0; most--, slow = slow->older) {
		pd_resp_write_array(reply, 6);
		pd_resp_write_integer(reply, (int64_t)slow->id);
		pd_resp_write_integer(reply, (int64_t)(slow->real_us / 1000000));
		pd_resp_write_integer(reply, (int64_t)slow->took_us);
		pd_resp_write_array(reply, slow->word_count);
		for (size_t i = 0; i < slow->word_count; i++)
			pd_resp_write_bulk(reply, pd_slice(slow->words[i].bytes, slow->words[i].size));
		pd_resp_write_bulk_string(reply, slow->peer);
		pd_resp_write_bulk_string(reply, slow->name);
	}
}
