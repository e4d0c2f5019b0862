/* What a server says of itself, and what happened between two moments. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/admin.h"
#include "cli/info_text.h"
#include "cli/target.h"
#include "cli/top_private.h"
#include "wire/resp.h"

const char *const pd_top_class_names[PD_TOP_CLASSES] = { "read", "write", "admin", "other" };

static void copy(char *to, size_t size, struct pd_slice text)
{
	(void)snprintf(to, size, "%.*s", (int)(text.size < size ? text.size : size - 1),
		       text.size > 0 ? (const char *)text.data : "");
}

/* ---- INFO ---- */

/* Seconds with six digits behind the point, as microseconds. */
static uint64_t cpu_us(struct pd_slice info, const char *name)
{
	char text[40];

	copy(text, sizeof text, pd_info_value(info, name));
	return (uint64_t)(strtod(text, NULL) * 1e6);
}

static void take_trouble(struct pd_top_sample *sample, struct pd_slice info)
{
	struct pd_slice text = pd_info_value(info, "fenced");

	if (text.size > 0)
		(void)snprintf(sample->trouble, sizeof sample->trouble, "THE LOG IS FENCED: %.*s",
			       (int)(text.size < 90 ? text.size : 90), (const char *)text.data);
	else if (pd_info_number(info, "disk_full") != 0)
		(void)snprintf(sample->trouble, sizeof sample->trouble,
			       "THE DISK IS FULL: writes are refused");
	else if (pd_info_value(info, "state_damage").size > 0)
		(void)snprintf(sample->trouble, sizeof sample->trouble,
			       "THE STATE ON DISK IS DAMAGED: see 'perdure doctor'");
	else if (pd_info_number(info, "recovery_quarantined_actors") > 0)
		(void)snprintf(sample->trouble, sizeof sample->trouble,
			       "%llu actors are quarantined: see 'perdure doctor'",
			       (unsigned long long)pd_info_number(info, "recovery_quarantined_actors"));
}

static void take_commands(struct pd_top_sample *sample, struct pd_slice info)
{
	struct pd_slice name, value;
	size_t at = 0;

	while (sample->command_count < PD_TOP_COMMANDS_MAX &&
	       pd_info_next(info, "cmdstat_", &at, &name, &value)) {
		struct pd_top_command *command = sample->commands + sample->command_count++;

		copy(command->name, sizeof command->name, name);
		for (char *c = command->name; *c != '\0'; c++)
			*c = *c == '|' ? ' ' : *c;
		command->calls = pd_info_field(value, "calls");
	}
}

static void take_info(struct pd_top_sample *sample, struct pd_slice info)
{
	char name[PD_TOP_NAME_SIZE];

	copy(sample->version, sizeof sample->version, pd_info_value(info, "perdure_version"));
	copy(sample->durability, sizeof sample->durability, pd_info_value(info, "default_durability"));
	sample->process_id = pd_info_number(info, "process_id");
	sample->loading = pd_info_number(info, "loading") != 0;
	sample->recovery_bytes = pd_info_number(info, "recovery_bytes");
	sample->recovery_total_bytes = pd_info_number(info, "recovery_total_bytes");
	sample->uptime_s = pd_info_number(info, "uptime_in_seconds");
	sample->epoch = pd_info_number(info, "epoch");
	sample->tail_lsn = pd_info_number(info, "tail_lsn");
	sample->durable_lsn = pd_info_number(info, "durable_lsn");
	sample->keys = pd_info_number(info, "keys");
	sample->actors = pd_info_number(info, "actors");
	sample->clients = pd_info_number(info, "connected_clients");
	sample->holding = pd_info_number(info, "holding_replies");
	sample->waiting_reader = pd_info_number(info, "waiting_for_reader");
	sample->waiting_memory = pd_info_number(info, "waiting_for_memory");
	sample->waiting_brake = pd_info_number(info, "waiting_for_brake");
	sample->waiting_other = pd_info_number(info, "waiting_for_other");
	sample->received_bytes = pd_info_number(info, "total_net_input_bytes");
	sample->sent_bytes = pd_info_number(info, "total_net_output_bytes");
	sample->cpu_us = cpu_us(info, "used_cpu_sys") + cpu_us(info, "used_cpu_user");
	sample->log_bytes_written = pd_info_number(info, "log_bytes_written");
	pd_info_histogram(info, "log_group_write", &sample->group_write);
	pd_info_histogram(info, "log_sync", &sample->sync);
	pd_info_histogram(info, "settling", &sample->settling);
	pd_info_histogram(info, "log_group_records", &sample->group_records);
	for (unsigned i = 0; i < PD_TOP_CLASSES; i++) {
		(void)snprintf(name, sizeof name, "evaluation_%s", pd_top_class_names[i]);
		pd_info_histogram(info, name, &sample->evaluation[i]);
		(void)snprintf(name, sizeof name, "failed_%s", pd_top_class_names[i]);
		sample->failed[i] = pd_info_number(info, name);
	}
	take_trouble(sample, info);
	take_commands(sample, info);
}

/* ---- PD.MEMORY, PD.STORE STATS, PD.ACTOR HOT ---- */

static void take_memory(struct pd_top_sample *sample, struct pd_slice reply)
{
	struct pd_slice rest;
	struct pd_reply list;

	sample->budget = pd_admin_number(reply, "budget");
	sample->used = pd_admin_number(reply, "used");
	sample->resident = pd_admin_number(reply, "resident");
	if (!pd_reply_field(reply, "parts", &rest))
		return;
	list = pd_reply_read(&rest);
	for (size_t i = 0;
	     list.kind == PD_REPLY_LIST && i + 1 < list.count && sample->part_count < PD_TOP_PARTS_MAX;
	     i += 2) {
		struct pd_top_part *part = sample->parts + sample->part_count++;

		copy(part->name, sizeof part->name, pd_reply_read(&rest).text);
		part->bytes = pd_admin_number(rest, "bytes");
		part->limit = pd_admin_number(rest, "limit");
		pd_reply_skip(&rest);
	}
}

static void take_figures(struct pd_top_sample *sample, struct pd_slice reply)
{
	struct pd_reply list = pd_reply_read(&reply);

	for (size_t i = 0;
	     list.kind == PD_REPLY_LIST && i + 1 < list.count && sample->figure_count < PD_TOP_FIGURES_MAX;
	     i += 2) {
		struct pd_top_figure *figure = sample->figures + sample->figure_count++;
		struct pd_reply value;

		copy(figure->name, sizeof figure->name, pd_reply_read(&reply).text);
		value = pd_reply_read(&reply);
		if (value.kind == PD_REPLY_LIST)
			return; /* not what was asked for */
		figure->value = value.integer > 0 ? (uint64_t)value.integer : 0;
	}
}

static size_t copy_name(uint8_t to[PD_NAME_SIZE_MAX], struct pd_slice name)
{
	size_t size = name.size < PD_NAME_SIZE_MAX ? name.size : PD_NAME_SIZE_MAX;

	if (size > 0)
		memcpy(to, name.data, size);
	return size;
}

static void take_hot(struct pd_top_sample *sample, struct pd_slice reply)
{
	struct pd_reply list = pd_reply_read(&reply);

	for (size_t i = 0; list.kind == PD_REPLY_LIST && i < list.count && i < PD_TOP_SHOWN; i++) {
		struct pd_top_actor *actor = sample->hot + sample->hot_count++;

		actor->tenant_size = copy_name(actor->tenant, pd_admin_text(reply, "tenant"));
		actor->name_size = copy_name(actor->name, pd_admin_text(reply, "name"));
		actor->per_second = pd_admin_number(reply, "operations_per_s");
		pd_reply_skip(&reply);
	}
}

uint64_t pd_top_figure(const struct pd_top_sample *sample, const char *name)
{
	for (size_t i = 0; i < sample->figure_count; i++)
		if (strcmp(sample->figures[i].name, name) == 0)
			return sample->figures[i].value;
	return 0;
}

int pd_top_take(struct pd_top_sample *sample, struct pd_os *os, struct pd_link *link, struct pd_error *err)
{
	static const char *const info[] = { "INFO", "everything", NULL };
	static const char *const memory[] = { "PD.MEMORY", NULL };
	static const char *const store[] = { "PD.STORE", "STATS", NULL };
	static const char *const hot[] = { "PD.ACTOR", "HOT", "COUNT", "5", NULL };
	struct pd_slice reply;
	struct pd_error why = { 0 };
	int result = pd_target_ask(link, info, &reply, &why);

	*sample = (struct pd_top_sample){ .taken_ns = pd_os_monotonic_ns(os), .real_us = pd_os_real_us(os) };
	if (result != 0)
		return pd_error_set(err, result, "%s%s", why.text,
				    strncmp(why.text, "NOAUTH", 6) == 0
					    ? "; --user NAME, and the password in PERDURE_PASSWORD"
					    : "");
	take_info(sample, pd_reply_read(&reply).text);
	if (sample->version[0] == '\0')
		return pd_error_set(
			err, PD_NOT_SUPPORTED,
			"what listens on %s is no Perdure server (its INFO has no perdure_version)",
			link->name);
	/* There is no store while the log is replayed, and who does not administer is told of neither. */
	result = pd_target_ask(link, memory, &reply, err);
	if (result == 0)
		take_memory(sample, reply);
	if (result == 0 || result == PD_INVALID)
		result = pd_target_ask(link, store, &reply, err);
	if (result == 0)
		take_figures(sample, reply);
	if (result == 0 || result == PD_INVALID)
		result = pd_target_ask(link, hot, &reply, err);
	if (result == 0)
		take_hot(sample, reply);
	return result == PD_INVALID ? 0 : result;
}

/* ---- between two ---- */

double pd_top_quantile(const struct pd_histogram *histogram, double share)
{
	uint64_t total = 0, below = 0;
	double wanted;

	for (unsigned i = 0; i <= PD_HISTOGRAM_BOUNDS; i++)
		total += histogram->buckets[i];
	if (total == 0)
		return 0;
	wanted = share * (double)total;
	for (unsigned i = 0; i <= PD_HISTOGRAM_BOUNDS; i++) {
		double from = i == 0 ? 0 : (double)(UINT64_C(1) << (i - 1)), to = (double)(UINT64_C(1) << i);

		if ((double)(below + histogram->buckets[i]) >= wanted && histogram->buckets[i] > 0)
			return from + (to - from) * (wanted - (double)below) / (double)histogram->buckets[i];
		below += histogram->buckets[i];
	}
	return (double)(UINT64_C(1) << PD_HISTOGRAM_BOUNDS);
}

static uint64_t growth(uint64_t before, uint64_t now)
{
	return now > before ? now - before : 0;
}

static struct pd_top_times times_between(const struct pd_histogram *before, const struct pd_histogram *now,
					 double seconds)
{
	struct pd_histogram between = { .count = growth(before->count, now->count) };

	for (unsigned i = 0; i <= PD_HISTOGRAM_BOUNDS; i++)
		between.buckets[i] = growth(before->buckets[i], now->buckets[i]);
	return (struct pd_top_times){ .per_second = (double)between.count / seconds,
				      .p50_us = pd_top_quantile(&between, 0.5),
				      .p99_us = pd_top_quantile(&between, 0.99),
				      .count = between.count };
}

static uint64_t calls_of(const struct pd_top_sample *sample, const char *name)
{
	for (size_t i = 0; i < sample->command_count; i++)
		if (strcmp(sample->commands[i].name, name) == 0)
			return sample->commands[i].calls;
	return 0;
}

/* Keep the few with the most calls. */
static void take_busy(struct pd_top_rates *rates, const struct pd_top_command *command, uint64_t calls)
{
	size_t place = rates->busiest_count;

	while (place > 0 && rates->busiest[place - 1].calls < calls)
		place--;
	if (place == PD_TOP_SHOWN || calls == 0)
		return;
	if (rates->busiest_count < PD_TOP_SHOWN)
		rates->busiest_count++;
	memmove(rates->busiest + place + 1, rates->busiest + place,
		(rates->busiest_count - place - 1) * sizeof *rates->busiest);
	rates->busiest[place] = *command;
	rates->busiest[place].calls = calls;
}

void pd_top_compare(const struct pd_top_sample *before, const struct pd_top_sample *now,
		    struct pd_top_rates *ret_rates)
{
	double seconds = (double)growth(before->taken_ns, now->taken_ns) / 1e9;
	uint64_t groups;

	*ret_rates = (struct pd_top_rates){ 0 };
	if (before->taken_ns == 0 || seconds <= 0 || before->process_id != now->process_id)
		return;
	ret_rates->seconds = seconds;
	for (unsigned i = 0; i < PD_TOP_CLASSES; i++) {
		ret_rates->classes[i] = times_between(&before->evaluation[i], &now->evaluation[i], seconds);
		ret_rates->errors_per_second[i] = (double)growth(before->failed[i], now->failed[i]) / seconds;
	}
	ret_rates->group_write = times_between(&before->group_write, &now->group_write, seconds);
	ret_rates->sync = times_between(&before->sync, &now->sync, seconds);
	ret_rates->settling = times_between(&before->settling, &now->settling, seconds);
	groups = growth(before->group_records.count, now->group_records.count);
	ret_rates->records_per_second = (double)growth(before->group_records.sum, now->group_records.sum) /
					seconds;
	ret_rates->records_per_group = groups > 0 ? ret_rates->records_per_second * seconds / (double)groups
						  : 0;
	ret_rates->log_bytes_per_second = (double)growth(before->log_bytes_written, now->log_bytes_written) /
					  seconds;
	ret_rates->received_per_second = (double)growth(before->received_bytes, now->received_bytes) /
					 seconds;
	ret_rates->sent_per_second = (double)growth(before->sent_bytes, now->sent_bytes) / seconds;
	ret_rates->cpu_share = (double)growth(before->cpu_us, now->cpu_us) / 1e6 / seconds;
	for (size_t i = 0; i < now->command_count; i++)
		take_busy(ret_rates, now->commands + i,
			  growth(calls_of(before, now->commands[i].name), now->commands[i].calls));
}
