/* CONFIG …: what is so, and the little of it that can be changed while the server runs. */
#include <stdio.h>

#include "base/memory.h"
#include "config/config.h"
#include "front/resp/front_private.h"
#include "model/kv/glob.h"

#define VALUE_SIZE (PD_SETTING_TEXT_MAX + 1)

/* What tools ask a Redis for, and is no setting: it follows from one, is always the same here, or is changed by tools alone. */
struct parameter {
	const char *name;
	const char *fixed; /* its value, when it is always the same */
	void (*get)(const struct pd_resp_front *front, char value[VALUE_SIZE]);
	/* NULL: cannot be changed. 0, or a negative code with words. */
	int (*set)(struct pd_resp_front *front, struct pd_slice value, struct pd_error *err);
};

static void get_appendonly(const struct pd_resp_front *front, char value[VALUE_SIZE])
{
	(void)snprintf(value, VALUE_SIZE, "%s", front->options.in_memory ? "no" : "yes");
}

/* The nearest of Redis's words for when a write is acknowledged. */
static void get_appendfsync(const struct pd_resp_front *front, char value[VALUE_SIZE])
{
	const char *level = pd_config_text(front->options.config, PD_SETTING_DURABILITY);
	const char *word = "always";

	if (front->options.in_memory || strcmp(level, pd_level_name(PD_LEVEL_NONE)) == 0)
		word = "no";
	else if (strcmp(level, pd_level_name(PD_LEVEL_PERFORMANCE)) == 0 ||
		 strcmp(level, pd_level_name(PD_LEVEL_STANDARD)) == 0)
		word = "everysec";
	(void)snprintf(value, VALUE_SIZE, "%s", word);
}

static void get_output_limit(const struct pd_resp_front *front, char value[VALUE_SIZE])
{
	const struct pd_resp_pushes *pushes = &front->pushes;

	(void)snprintf(value, VALUE_SIZE, "normal 0 0 0 slave 0 0 0 pubsub %llu %llu %llu",
		       (unsigned long long)pushes->hard_bytes, (unsigned long long)pushes->soft_bytes,
		       (unsigned long long)pushes->soft_seconds);
}

/* "33554432" or "32mb", as Redis writes sizes. */
static bool parse_size(struct pd_slice word, uint64_t *ret_size)
{
	static const struct {
		const char *unit;
		uint64_t bytes;
	} units[] = { { "kb", 1u << 10 }, { "mb", 1u << 20 }, { "gb", 1u << 30 }, { "b", 1 },
		      { "k", 1000 },      { "m", 1000000 },   { "g", 1000000000 } };
	uint64_t factor = 1;
	int64_t number;

	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		size_t size = strlen(units[i].unit);

		if (word.size > size &&
		    pd_slice_equal_nocase(pd_slice(word.data + word.size - size, size), units[i].unit)) {
			factor = units[i].bytes;
			word.size -= size;
			break;
		}
	}
	if (!pd_slice_to_int64(word, &number) || number < 0 || number > INT64_MAX / (1 << 30))
		return false;
	*ret_size = (uint64_t)number * factor;
	return true;
}

static struct pd_slice next_word(struct pd_slice *rest)
{
	struct pd_slice word;

	while (rest->size > 0 && rest->data[0] == ' ')
		*rest = pd_slice(rest->data + 1, rest->size - 1);
	word = pd_slice(rest->data, 0);
	while (word.size < rest->size && rest->data[word.size] != ' ')
		word.size++;
	*rest = pd_slice(rest->data + word.size, rest->size - word.size);
	return word;
}

/* "class hard soft seconds", once or more. Other clients are not read while they do not take their replies, so there is
 * nothing to limit. */
static int set_output_limit(struct pd_resp_front *front, struct pd_slice value, struct pd_error *err)
{
	struct pd_resp_pushes *pushes = &front->pushes;
	uint64_t limits[3] = { pushes->hard_bytes, pushes->soft_bytes, pushes->soft_seconds };
	struct pd_slice class;

	while ((class = next_word(&value)).size > 0) {
		bool pubsub = pd_slice_equal_nocase(class, "pubsub");
		bool none = pd_slice_equal_nocase(class, "normal") || pd_slice_equal_nocase(class, "slave") ||
			    pd_slice_equal_nocase(class, "replica");
		uint64_t given[3];

		for (size_t i = 0; i < 3; i++)
			if (!parse_size(next_word(&value), &given[i]) || (!pubsub && !none) ||
			    (none && given[i] != 0))
				return pd_error_set(
					err, PD_INVALID,
					"it is 'pubsub <hard limit> <soft limit> <soft seconds>'; other "
					"classes have no limits: they are not read while replies wait");
		if (pubsub)
			memcpy(limits, given, sizeof limits);
	}
	pushes->hard_bytes = limits[0];
	pushes->soft_bytes = limits[1];
	pushes->soft_seconds = limits[2] < UINT32_MAX ? limits[2] : UINT32_MAX;
	return 0;
}

static void get_latency_threshold(const struct pd_resp_front *front, char value[VALUE_SIZE])
{
	(void)snprintf(value, VALUE_SIZE, "%llu", (unsigned long long)front->latency.threshold_ms);
}

static int set_latency_threshold(struct pd_resp_front *front, struct pd_slice value, struct pd_error *err)
{
	int64_t ms;

	if (!pd_slice_to_int64(value, &ms) || ms < 0 || ms > INT32_MAX)
		return pd_error_set(err, PD_INVALID, "it is a number of milliseconds; 0: nothing is watched");
	pd_resp_latency_set_threshold(&front->latency, (uint64_t)ms);
	return 0;
}

/* Only what is true of this server: a parameter that means nothing here is not listed. */
static const struct parameter parameters[] = {
	{ "appendfsync", NULL, get_appendfsync, NULL },
	{ "appendonly", NULL, get_appendonly, NULL },
	{ "client-output-buffer-limit", NULL, get_output_limit, set_output_limit },
	{ "cluster-enabled", "no", NULL, NULL },
	{ "databases", "1", NULL, NULL },
	{ "io-threads", "1", NULL, NULL },
	{ "latency-monitor-threshold", NULL, get_latency_threshold, set_latency_threshold },
	{ "maxmemory-policy", "noeviction", NULL, NULL },
	{ "proto-max-bulk-len", "536870912", NULL, NULL },
	{ "requirepass", "", NULL, NULL },
	{ "save", "", NULL, NULL },
	{ "tcp-keepalive", "300", NULL, NULL },
	{ "timeout", "0", NULL, NULL },
};
#define PARAMETER_COUNT (sizeof parameters / sizeof *parameters)
/* Settings first, by their id, then parameters. */
#define ROW_COUNT (PD_SETTING_COUNT + PARAMETER_COUNT)

static void row_name(size_t row, char name[PD_SETTING_NAME_SIZE])
{
	if (row < PD_SETTING_COUNT)
		pd_setting_config_name(pd_setting((enum pd_setting_id)row), name);
	else
		(void)snprintf(name, PD_SETTING_NAME_SIZE, "%s", parameters[row - PD_SETTING_COUNT].name);
}

static void get_setting(const struct pd_resp_front *front, enum pd_setting_id id, char value[VALUE_SIZE])
{
	/* What became of the setting is the better answer. */
	if (id == PD_SETTING_MAX_CLIENTS)
		(void)snprintf(value, VALUE_SIZE, "%u", pd_net_max_connections(front->net));
	else if (id == PD_SETTING_MEMORY_BUDGET)
		(void)snprintf(value, VALUE_SIZE, "%llu", (unsigned long long)front->options.memory_budget);
	else if (id == PD_SETTING_NOTIFY_KEYSPACE_EVENTS)
		pd_resp_keyspace_text(front, value);
	else
		pd_setting_format(pd_setting(id), pd_config_value(front->options.config, id), true, value);
}

static void row_value(const struct pd_resp_front *front, size_t row, char value[VALUE_SIZE])
{
	const struct parameter *parameter;

	if (row < PD_SETTING_COUNT) {
		get_setting(front, (enum pd_setting_id)row, value);
		return;
	}
	parameter = parameters + (row - PD_SETTING_COUNT);
	if (parameter->get != NULL)
		parameter->get(front, value);
	else
		(void)snprintf(value, VALUE_SIZE, "%s", parameter->fixed);
}

static bool is_wanted(const struct pd_resp_call *call, size_t row)
{
	char name[PD_SETTING_NAME_SIZE];

	row_name(row, name);
	for (size_t i = 2; i < call->count; i++)
		if (pd_glob_match_nocase(call->words[i], pd_slice_string(name)))
			return true;
	return false;
}

static void answer_get(struct pd_resp_call *call)
{
	char value[VALUE_SIZE], name[PD_SETTING_NAME_SIZE];
	size_t count = 0;

	for (size_t row = 0; row < ROW_COUNT; row++)
		count += is_wanted(call, row);
	pd_resp_write_map(call->reply, count);
	for (size_t row = 0; row < ROW_COUNT; row++) {
		if (!is_wanted(call, row))
			continue;
		row_name(row, name);
		row_value(call->client->front, row, value);
		pd_resp_write_bulk_string(call->reply, name);
		pd_resp_write_bulk_string(call->reply, value);
	}
}

/* ROW_COUNT: there is none of that name. */
static size_t find_row(struct pd_slice name)
{
	char own[PD_SETTING_NAME_SIZE];

	for (size_t row = 0; row < ROW_COUNT; row++) {
		row_name(row, own);
		if (pd_slice_equal_nocase(name, own))
			return row;
	}
	return ROW_COUNT;
}

static void write_failed(struct pd_resp_call *call, struct pd_slice name, const char *why)
{
	pd_resp_write_errorf(call->reply, "ERR CONFIG SET failed (possibly related to argument '%.*s') - %s",
			     (int)(name.size < 64 ? name.size : 64), (const char *)name.data, why);
}

/* Could the words at `at` and behind it be set? If not, the error is written. */
static bool check_change(struct pd_resp_call *call, size_t at)
{
	const struct pd_resp_front *front = call->client->front;
	struct pd_slice name = call->words[at], wanted = call->words[at + 1];
	size_t row = find_row(name);
	char value[VALUE_SIZE];
	struct pd_error err = { 0 };

	if (row == ROW_COUNT) {
		pd_resp_write_errorf(call->reply,
				     "ERR Unknown option or number of arguments for CONFIG SET - '%.*s'",
				     (int)(name.size < 128 ? name.size : 128), (const char *)name.data);
		return false;
	}
	for (size_t i = 2; i < at; i += 2)
		if (find_row(call->words[i]) == row) {
			write_failed(call, name, "duplicate parameter");
			return false;
		}
	/* Saying what is so already changes nothing, and tools do say it ("save" to ""). */
	row_value(front, row, value);
	if (pd_slice_equal(wanted, pd_slice_string(value)))
		return true;
	if (row >= PD_SETTING_COUNT) {
		if (parameters[row - PD_SETTING_COUNT].set != NULL)
			return true;
		(void)pd_error_set(&err, PD_INVALID, "can't set immutable config");
	} else if (pd_config_check_change(front->options.config, (enum pd_setting_id)row, wanted, &err) == 0)
		return true;
	write_failed(call, name, err.text);
	return false;
}

static int set_row(struct pd_resp_front *front, size_t row, struct pd_slice value, struct pd_error *err)
{
	if (row < PD_SETTING_COUNT)
		return pd_config_change(front->options.config, (enum pd_setting_id)row, value, err);
	return parameters[row - PD_SETTING_COUNT].set(front, value, err);
}

/* The words at `at` and behind it. What was there before is kept in *ret_before, NULL if nothing changes. */
static int change(struct pd_resp_call *call, size_t at, char **ret_before, struct pd_error *err)
{
	struct pd_resp_front *front = call->client->front;
	size_t row = find_row(call->words[at]);
	char value[VALUE_SIZE];
	int result;

	row_value(front, row, value);
	if (pd_slice_equal(call->words[at + 1], pd_slice_string(value)))
		return 0;
	*ret_before = pd_strdup(value);
	if (*ret_before == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory");
	result = set_row(front, row, call->words[at + 1], err);
	if (result == 0)
		return 0;
	pd_free(*ret_before);
	*ret_before = NULL;
	return result;
}

/* All of them or none. */
static void answer_set(struct pd_resp_call *call)
{
	char *before[ROW_COUNT] = { NULL };
	struct pd_error err = { 0 };
	size_t at = 2;
	int result = 0;

	if (call->count % 2 != 0) {
		pd_resp_write_error(call->reply, "ERR wrong number of arguments for 'config|set' command");
		return;
	}
	/* Each row at most once, so `before` is long enough. */
	for (size_t i = 2; i < call->count; i += 2)
		if (!check_change(call, i))
			return;
	for (; at < call->count && result == 0; at += 2)
		result = change(call, at, before + (at - 2) / 2, &err);
	for (size_t i = 2; i < call->count; i += 2) {
		char *old = before[(i - 2) / 2];

		/* It was so a moment ago, so it can be again; if not, the first error is the one to show. */
		if (old != NULL && result != 0 &&
		    set_row(call->client->front, find_row(call->words[i]), pd_slice_string(old), NULL) != 0)
			call->client->front->unexpected_errors++;
		pd_free(old);
	}
	if (result != 0)
		write_failed(call, call->words[at - 2], err.text);
	else
		pd_resp_write_status(call->reply, "OK");
}

static void answer_resetstat(struct pd_resp_call *call)
{
	struct pd_resp_front *front = call->client->front;
	struct pd_net_stats stats;

	pd_net_stats(front->net, &stats);
	front->net_accepted_base = stats.accepted;
	front->net_refused_base = stats.refused;
	front->net_received_base = stats.bytes_received;
	front->net_sent_base = stats.bytes_sent;
	front->commands = 0;
	front->rejected_calls = 0;
	front->unexpected_errors = 0;
	for (size_t i = 0; i < front->registry.count; i++) {
		struct pd_resp_entry *entry = front->registry.entries + i;

		entry->times = (struct pd_histogram){ .count = 0 };
		entry->rejected = entry->failed = 0;
	}
	front->error_count = 0;
	front->error_replies = 0;
	pd_resp_write_status(call->reply, "OK");
}

static void answer_rewrite(struct pd_resp_call *call)
{
	pd_resp_write_error(
		call->reply,
		"ERR The configuration file is its owner's and is never written: put what shall stay "
		"into it, and send SIGHUP");
}

static void answer_help(struct pd_resp_call *call)
{
	static const char *const lines[] = {
		"GET <pattern>",
		"    Return parameters matching the glob-like <pattern> and their values.",
		"SET <directive> <value>",
		"    Set the configuration <directive> to <value>.",
		"RESETSTAT",
		"    Reset statistics reported by the INFO command.",
	};

	pd_resp_write_help(call->reply, "CONFIG", lines, sizeof lines / sizeof *lines);
}

#define FLAGS                                    (PD_COMMAND_CONNECTION | PD_COMMAND_LOADING | PD_COMMAND_ADMIN)
#define ROW(name, arity, since, summary, answer) ROW_FLAGS(name, arity, FLAGS, since, summary, answer)
#define ROW_FLAGS(name, arity, flags, since, summary, answer) \
	{                                                     \
		{ "config|" name,                             \
		  arity,                                      \
		  flags,                                      \
		  0,                                          \
		  0,                                          \
		  0,                                          \
		  "server",                                   \
		  since,                                      \
		  summary,                                    \
		  "O(N), N the number of parameters.",        \
		  NULL },                                     \
			answer, false                         \
	}

static const struct pd_resp_command commands[] = {
	ROW("get", -3, "2.0.0", "Returns the effective values of configuration parameters.", answer_get),
	ROW_FLAGS("help", 2, FLAGS & ~(unsigned)PD_COMMAND_ADMIN, "5.0.0",
		  "Returns helpful text about the different subcommands.", answer_help),
	ROW("resetstat", 2, "2.0.0", "Resets the server's statistics.", answer_resetstat),
	ROW("rewrite", 2, "2.8.0", "Persists the configuration to a file; there is none.", answer_rewrite),
	ROW("set", -4, "2.0.0", "Sets configuration parameters in-flight.", answer_set),
};

const struct pd_resp_commands pd_resp_commands_config = { commands, sizeof commands / sizeof *commands };
