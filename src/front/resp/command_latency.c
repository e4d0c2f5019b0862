/* LATENCY: what took long, and how long each command takes. */
#include <inttypes.h>
#include <string.h>

#include "front/resp/front_private.h"
#include "os/os.h"

#define GRAPH_WIDTH 40

static void answer_history(struct pd_resp_call *call)
{
	const struct pd_resp_latency *latency = &call->client->front->latency;
	enum pd_resp_latency_event event = pd_resp_latency_event(call->words[2]);
	const struct pd_resp_latency_history *history = &latency->history[event];

	if (event == PD_RESP_LATENCY_EVENTS) {
		pd_resp_write_array(call->reply, 0);
		return;
	}
	pd_resp_write_array(call->reply, history->count);
	for (size_t i = 0; i < history->count; i++) {
		const struct pd_resp_latency_sample *sample = pd_resp_latency_sample(history, i);

		pd_resp_write_array(call->reply, 2);
		pd_resp_write_integer(call->reply, (int64_t)sample->second);
		pd_resp_write_integer(call->reply, (int64_t)sample->ms);
	}
}

static void answer_latest(struct pd_resp_call *call)
{
	const struct pd_resp_latency *latency = &call->client->front->latency;
	size_t count = 0;

	for (size_t i = 0; i < PD_RESP_LATENCY_EVENTS; i++)
		count += latency->history[i].count > 0;
	pd_resp_write_array(call->reply, count);
	for (size_t i = 0; i < PD_RESP_LATENCY_EVENTS; i++) {
		const struct pd_resp_latency_history *history = &latency->history[i];
		const struct pd_resp_latency_sample *newest;

		if (history->count == 0)
			continue;
		newest = pd_resp_latency_sample(history, history->count - 1);
		pd_resp_write_array(call->reply, 4);
		pd_resp_write_bulk_string(call->reply, pd_resp_latency_names[i]);
		pd_resp_write_integer(call->reply, (int64_t)newest->second);
		pd_resp_write_integer(call->reply, (int64_t)newest->ms);
		pd_resp_write_integer(call->reply, (int64_t)history->max_ms);
	}
}

static void answer_reset(struct pd_resp_call *call)
{
	struct pd_resp_latency *latency = &call->client->front->latency;
	int64_t reset = 0;

	for (size_t i = 0; i < PD_RESP_LATENCY_EVENTS; i++) {
		bool named = call->count == 2;

		for (size_t word = 2; word < call->count; word++)
			named |= pd_slice_equal(call->words[word], pd_slice_string(pd_resp_latency_names[i]));
		if (!named || latency->history[i].count == 0)
			continue;
		pd_resp_latency_forget(&latency->history[i]);
		reset++;
	}
	pd_resp_write_integer(call->reply, reset);
}

/* ---- text ---- */

static void write_text(struct pd_resp_call *call, struct pd_buffer *text, int result)
{
	if (result == 0)
		pd_resp_write_verbatim(call->reply, "txt", pd_buffer_slice(text));
	else
		pd_resp_write_error(call->reply, "OOM out of memory for the text");
	pd_buffer_done(text);
}

static int draw(const struct pd_resp_latency_history *history, const char *name, uint64_t now_s,
		struct pd_buffer *text)
{
	static const char bar[GRAPH_WIDTH + 1] = "########################################";
	uint64_t low = UINT64_MAX, high = 0;
	int result;

	for (size_t i = 0; i < history->count; i++) {
		uint64_t ms = pd_resp_latency_sample(history, i)->ms;

		low = ms < low ? ms : low;
		high = ms > high ? ms : high;
	}
	result = pd_buffer_printf(
		text, "%s - high %" PRIu64 " ms, low %" PRIu64 " ms (all time high %" PRIu64 " ms)\n", name,
		high, low, history->max_ms);
	for (size_t i = 0; i < history->count && result == 0; i++) {
		const struct pd_resp_latency_sample *sample = pd_resp_latency_sample(history, i);
		uint64_t ago = now_s > sample->second ? now_s - sample->second : 0;

		result = pd_buffer_printf(text, "%8" PRIu64 " s ago %8" PRIu64 " ms %.*s\n", ago, sample->ms,
					  (int)(high > 0 ? sample->ms * GRAPH_WIDTH / high : 0), bar);
	}
	return result;
}

static void answer_graph(struct pd_resp_call *call)
{
	const struct pd_resp_front *front = call->client->front;
	enum pd_resp_latency_event event = pd_resp_latency_event(call->words[2]);
	struct pd_buffer text;

	if (event == PD_RESP_LATENCY_EVENTS || front->latency.history[event].count == 0) {
		struct pd_slice name = call->words[2];

		pd_resp_write_errorf(call->reply, "ERR No samples available for event '%.*s'",
				     (int)(name.size < 128 ? name.size : 128), (const char *)name.data);
		return;
	}
	pd_buffer_init(&text, 64 * 1024);
	write_text(call, &text,
		   draw(&front->latency.history[event], pd_resp_latency_names[event],
			pd_os_real_us(front->os) / 1000000, &text));
}

static const char *const advice[PD_RESP_LATENCY_EVENTS] = {
	[PD_RESP_LATENCY_COMMAND] =
		"SLOWLOG GET names slow commands. KEYS, HGETALL of large hashes and large values take "
		"long: use SCAN and HSCAN.",
	[PD_RESP_LATENCY_FAST_COMMAND] =
		"Commands that should be fast were not: the machine is busy, reads went to a slow "
		"disk, or values are large.",
	[PD_RESP_LATENCY_LOG_WRITE] =
		"The disk is slow to write. Nothing else should use it much; 'perdure bench' shows "
		"what it can do.",
	[PD_RESP_LATENCY_LOG_SYNC] =
		"The disk is slow to sync, and strict writes wait for it: a disk with power-loss "
		"protection syncs faster; PD.DURABILITY standard waits less.",
	[PD_RESP_LATENCY_FLUSH] =
		"State is written beside the serving: this slows writes only when it cannot keep up "
		"(INFO, braked_writes).",
	[PD_RESP_LATENCY_CHECKPOINT] = "A checkpoint is made beside the serving: it delays nobody by itself.",
};

static int diagnose(const struct pd_resp_latency *latency, struct pd_buffer *text)
{
	size_t empty = text->size;
	int result = 0;

	if (latency->threshold_ms == 0)
		return pd_buffer_printf(
			text,
			"Nothing is watched: CONFIG SET latency-monitor-threshold <milliseconds> "
			"begins. LATENCY HISTOGRAM and INFO latencystats tell of commands in any case.\n");
	for (size_t i = 0; i < PD_RESP_LATENCY_EVENTS && result == 0; i++) {
		const struct pd_resp_latency_history *history = &latency->history[i];
		uint64_t sum = 0;

		for (size_t n = 0; n < history->count; n++)
			sum += pd_resp_latency_sample(history, n)->ms;
		if (history->count > 0)
			result = pd_buffer_printf(text,
						  "* %s: %zu seconds with more than %" PRIu64 " ms, %" PRIu64
						  " ms on average, %" PRIu64 " ms at worst. %s\n",
						  pd_resp_latency_names[i], history->count,
						  latency->threshold_ms, sum / history->count,
						  history->max_ms, advice[i]);
	}
	if (result == 0 && text->size == empty)
		result = pd_buffer_printf(text, "Nothing has taken %" PRIu64 " ms so far.\n",
					  latency->threshold_ms);
	return result;
}

static void answer_doctor(struct pd_resp_call *call)
{
	struct pd_buffer text;

	pd_buffer_init(&text, 64 * 1024);
	write_text(call, &text, diagnose(&call->client->front->latency, &text));
}

/* ---- HISTOGRAM ---- */

/* Was the command, or its container, named? */
static bool is_wanted(const struct pd_resp_call *call, const struct pd_resp_entry *entry)
{
	size_t container = strcspn(entry->name.text, "|");

	if (entry->times.count == 0)
		return false;
	for (size_t i = 2; i < call->count; i++) {
		struct pd_slice word = call->words[i];

		if (pd_slice_equal_nocase(word, entry->name.text) ||
		    (entry->subcommand && word.size == container &&
		     strncasecmp((const char *)word.data, entry->name.text, container) == 0))
			return true;
	}
	return call->count == 2;
}

/* How many took at most so many microseconds, for each bound that adds some. */
static void write_histogram(struct pd_resp_writer *reply, const struct pd_histogram *times)
{
	uint64_t so_far = 0;
	size_t bounds = 0;

	for (size_t i = 0; i <= PD_HISTOGRAM_BOUNDS; i++)
		bounds += times->buckets[i] > 0;
	pd_resp_write_map(reply, 2);
	pd_resp_write_bulk_string(reply, "calls");
	pd_resp_write_integer(reply, (int64_t)times->count);
	pd_resp_write_bulk_string(reply, "histogram_usec");
	pd_resp_write_map(reply, bounds);
	for (size_t i = 0; i <= PD_HISTOGRAM_BOUNDS; i++) {
		if (times->buckets[i] == 0)
			continue;
		so_far += times->buckets[i];
		pd_resp_write_integer(reply, INT64_C(1) << i);
		pd_resp_write_integer(reply, (int64_t)so_far);
	}
}

static void answer_histogram(struct pd_resp_call *call)
{
	const struct pd_resp_registry *registry = &call->client->front->registry;
	size_t count = 0;

	for (size_t i = 0; i < registry->count; i++)
		count += is_wanted(call, registry->entries + i);
	pd_resp_write_map(call->reply, count);
	for (size_t i = 0; i < registry->count; i++) {
		const struct pd_resp_entry *entry = registry->entries + i;

		if (!is_wanted(call, entry))
			continue;
		pd_resp_write_bulk_string(call->reply, entry->name.text);
		write_histogram(call->reply, &entry->times);
	}
}

static void answer_help(struct pd_resp_call *call)
{
	static const char *const lines[] = {
		"DOCTOR",
		"    Return what took long, and what can be done about it.",
		"GRAPH <event>",
		"    Return the latency of an <event> as a graph.",
		"HISTOGRAM [COMMAND ...]",
		"    Return how long commands took: how many at most 1, 2, 4 ... microseconds.",
		"HISTORY <event>",
		"    Return time-latency samples for the <event> class.",
		"LATEST",
		"    Return the latest latency samples for all events.",
		"RESET [<event> ...]",
		"    Reset latency data of one or more <event> classes (default: all).",
		"Events are command, fast-command, log-write, log-sync, flush and checkpoint.",
	};

	pd_resp_write_help(call->reply, "LATENCY", lines, sizeof lines / sizeof *lines);
}

#define FLAGS (PD_COMMAND_CONNECTION | PD_COMMAND_LOADING)
#define ADMIN (FLAGS | PD_COMMAND_ADMIN)
#define ROW(name, arity, flags, since, summary, complexity, answer)                                     \
	{                                                                                               \
		{ "latency|" name, arity, flags, 0, 0, 0, "server", since, summary, complexity, NULL }, \
			answer, false                                                                   \
	}

static const struct pd_resp_command commands[] = {
	ROW("doctor", 2, ADMIN, "2.8.13", "Tells what took long, and what can be done about it.", "O(1)",
	    answer_doctor),
	ROW("graph", 3, ADMIN, "2.8.13", "Returns a latency graph for an event.", "O(1)", answer_graph),
	ROW("help", 2, FLAGS, "2.8.13", "Returns helpful text about the different subcommands.", "O(1)",
	    answer_help),
	ROW("histogram", -2, ADMIN, "7.0.0", "Tells how long commands took.",
	    "O(N), N the number of commands.", answer_histogram),
	ROW("history", 3, ADMIN, "2.8.13", "Returns timestamp-latency samples for an event.", "O(1)",
	    answer_history),
	ROW("latest", 2, ADMIN, "2.8.13", "Returns the latest latency samples for all events.", "O(1)",
	    answer_latest),
	ROW("reset", -2, ADMIN, "2.8.13", "Resets the latency data for events.", "O(1)", answer_reset),
};

const struct pd_resp_commands pd_resp_commands_latency = { commands, sizeof commands / sizeof *commands };
