/* `perdure top` as a screen, as lines, as JSON. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "base/utf8.h"
#include "cli/top_private.h"
#include "server/bar.h"

#define MIB        (1024.0 * 1024.0)
#define LINE_SIZE  256
#define ACTOR_SIZE 40 /* longer names are cut */

/* ---- numbers as people read them ---- */

struct text {
	char bytes[24];
};

/* 950, 12.3k, 4.5M */
static struct text rate(double number)
{
	struct text text;

	if (number < 9.95)
		(void)snprintf(text.bytes, sizeof text.bytes, "%.1f", number);
	else if (number < 99999.5)
		(void)snprintf(text.bytes, sizeof text.bytes, "%.0f", number);
	else if (number < 9999999.5)
		(void)snprintf(text.bytes, sizeof text.bytes, "%.0fk", number / 1e3);
	else
		(void)snprintf(text.bytes, sizeof text.bytes, "%.1fM", number / 1e6);
	return text;
}

/* 0.9 us, 120 us, 3.4 ms, 1.2 s; "-": there was none. */
static struct text duration(const struct pd_top_times *times, double us)
{
	struct text text = { "-" };

	if (times->count == 0)
		return text;
	if (us < 1000)
		(void)snprintf(text.bytes, sizeof text.bytes, "%.*f us", us < 10, us);
	else if (us < 1e6)
		(void)snprintf(text.bytes, sizeof text.bytes, "%.*f ms", us < 1e5, us / 1e3);
	else
		(void)snprintf(text.bytes, sizeof text.bytes, "%.1f s", us / 1e6);
	return text;
}

static struct text uptime(uint64_t seconds)
{
	struct text text;
	unsigned long long days = seconds / 86400, hours = seconds / 3600 % 24, minutes = seconds / 60 % 60;

	if (days > 0)
		(void)snprintf(text.bytes, sizeof text.bytes, "%llud %lluh", days, hours);
	else if (hours > 0)
		(void)snprintf(text.bytes, sizeof text.bytes, "%lluh %llum", hours, minutes);
	else
		(void)snprintf(text.bytes, sizeof text.bytes, "%llum %llus", minutes,
			       (unsigned long long)seconds % 60);
	return text;
}

static struct text clock_text(uint64_t real_us)
{
	time_t seconds = (time_t)(real_us / 1000000);
	struct text text = { "" };
	struct tm parts;

	if (localtime_r(&seconds, &parts) != NULL)
		(void)strftime(text.bytes, sizeof text.bytes, "%H:%M:%S", &parts);
	return text;
}

/* ---- the screen ---- */

struct screen {
	struct pd_output *output;
	unsigned rows, columns, row;
};

/* One line, cut where the screen ends; nothing below its last row. */
static void put(struct screen *screen, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct screen *screen, const char *format, ...)
{
	char line[LINE_SIZE];
	va_list arguments;

	if (screen->row + 1 >= screen->rows)
		return;
	va_start(arguments, format);
	(void)vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	if (screen->columns < sizeof line)
		line[screen->columns] = '\0';
	pd_output_lax(screen->output, pd_slice_string(line));
	/* The row's rest is of the last picture. */
	pd_output_text(screen->output, "\033[K\n");
	screen->row++;
}

static void put_head(struct screen *screen, const struct pd_top_view *view)
{
	const struct pd_top_sample *sample = view->sample;

	put(screen, "perdure %s  %s  up %s  %s  every %.1f s  q quits", sample->version, view->server,
	    uptime(sample->uptime_s).bytes, clock_text(sample->real_us).bytes, view->interval_s);
	if (view->notice != NULL)
		put(screen, "%s", view->notice);
	else if (sample->loading && sample->recovery_total_bytes > 0)
		put(screen, "RECOVERING: %.0f%%, %.0f of %.0f MiB of the log",
		    100.0 * (double)sample->recovery_bytes / (double)sample->recovery_total_bytes,
		    (double)sample->recovery_bytes / MIB, (double)sample->recovery_total_bytes / MIB);
	else if (sample->loading)
		put(screen, "RECOVERING");
	else if (sample->trouble[0] != '\0')
		put(screen, "%s", sample->trouble);
	else
		put(screen,
		    "serving, %s by default; epoch %" PRIu64 ", LSN %" PRIu64 ", durable up to %" PRIu64,
		    sample->durability, sample->epoch, sample->tail_lsn, sample->durable_lsn);
	put(screen, "%s", "");
}

static void put_commands(struct screen *screen, const struct pd_top_rates *rates)
{
	char line[LINE_SIZE] = "";

	put(screen,
	    "commands      per second        p50        p99   errors/s   (evaluation, without the disk)");
	for (unsigned i = 0; i < PD_TOP_CLASSES; i++) {
		const struct pd_top_times *times = rates->classes + i;

		put(screen, "  %-10s  %10s %10s %10s %10s", pd_top_class_names[i],
		    rate(times->per_second).bytes, duration(times, times->p50_us).bytes,
		    duration(times, times->p99_us).bytes, rate(rates->errors_per_second[i]).bytes);
	}
	for (size_t i = 0; i < rates->busiest_count; i++) {
		size_t at = strlen(line);

		(void)snprintf(line + at, sizeof line - at, "  %s %s/s", rates->busiest[i].name,
			       rate((double)rates->busiest[i].calls / rates->seconds).bytes);
	}
	put(screen, "  busiest   %s", line);
}

/* "user:42", or "acme/main" of another tenant, as a line may have it. */
static void plain_name(const struct pd_top_actor *actor, char to[ACTOR_SIZE])
{
	struct pd_slice tenant = pd_slice(actor->tenant, actor->tenant_size);
	struct pd_buffer plain;
	int result = 0;

	pd_buffer_init(&plain, 8u * PD_NAME_SIZE_MAX + 1);
	if (!pd_slice_equal(tenant, pd_slice_string("default"))) {
		result = pd_append_line(&plain, tenant);
		if (result == 0)
			result = pd_buffer_append(&plain, "/", 1);
	}
	if (result == 0)
		result = pd_append_line(&plain, pd_slice(actor->name, actor->name_size));
	(void)snprintf(to, ACTOR_SIZE, "%.*s", result == 0 ? (int)plain.size : 1,
		       result == 0 ? (const char *)plain.data : "?");
	pd_buffer_done(&plain);
}

static void put_hot(struct screen *screen, const struct pd_top_sample *sample)
{
	char line[LINE_SIZE] = "";

	for (size_t i = 0; i < sample->hot_count; i++) {
		size_t at = strlen(line);
		char name[ACTOR_SIZE];

		plain_name(sample->hot + i, name);
		(void)snprintf(line + at, sizeof line - at, "  %s %s/s", name,
			       rate((double)sample->hot[i].per_second).bytes);
	}
	put(screen, "  hot actors%s", line);
	put(screen, "%s", "");
}

static void put_log(struct screen *screen, const struct pd_top_rates *rates)
{
	put(screen, "log           per second        p50        p99");
	put(screen, "  groups      %10s %10s %10s   of %.1f records each, %s/s",
	    rate(rates->group_write.per_second).bytes,
	    duration(&rates->group_write, rates->group_write.p50_us).bytes,
	    duration(&rates->group_write, rates->group_write.p99_us).bytes, rates->records_per_group,
	    pd_size_text(rates->log_bytes_per_second).bytes);
	put(screen, "  replies     %10s %10s %10s   that waited for it, as clients do",
	    rate(rates->settling.per_second).bytes, duration(&rates->settling, rates->settling.p50_us).bytes,
	    duration(&rates->settling, rates->settling.p99_us).bytes);
	put(screen, "  syncs       %10s %10s %10s   beside the writes", rate(rates->sync.per_second).bytes,
	    duration(&rates->sync, rates->sync.p50_us).bytes,
	    duration(&rates->sync, rates->sync.p99_us).bytes);
	put(screen, "%s", "");
}

static void put_bar(struct screen *screen, const char *name, uint64_t bytes, uint64_t limit)
{
	double share = limit > 0 ? (double)bytes / (double)limit : 0;
	char bar[PD_BAR_WIDTH + 1];

	pd_bar_fill(bar, share);
	if (limit == 0)
		put(screen, "  %-12s%10s", name, pd_size_text((double)bytes).bytes);
	else
		put(screen, "  %-12s%10s of %-10s [%s] %3.0f%%", name, pd_size_text((double)bytes).bytes,
		    pd_size_text((double)limit).bytes, bar, 100 * share);
}

static void put_memory(struct screen *screen, const struct pd_top_sample *sample)
{
	put(screen, "memory");
	put_bar(screen, "process", sample->resident, sample->budget);
	for (size_t i = 0; i < sample->part_count; i++)
		if (sample->parts[i].bytes > 0 || sample->parts[i].limit > 0)
			put_bar(screen, sample->parts[i].name, sample->parts[i].bytes,
				sample->parts[i].limit);
	put(screen, "%s", "");
}

static void put_rest(struct screen *screen, const struct pd_top_view *view)
{
	const struct pd_top_sample *sample = view->sample;
	const struct pd_top_rates *rates = view->rates;

	put(screen, "clients  %" PRIu64 " connected, %" PRIu64 " with replies that wait for the log",
	    sample->clients, sample->holding);
	put(screen,
	    "         waiting: %" PRIu64 " for memory, %" PRIu64 " for the brake, %" PRIu64
	    " do not read, %" PRIu64 " else",
	    sample->waiting_memory, sample->waiting_brake, sample->waiting_reader, sample->waiting_other);
	put(screen, "network  %s/s in, %s/s out   cpu %.0f%%", pd_size_text(rates->received_per_second).bytes,
	    pd_size_text(rates->sent_per_second).bytes, 100 * rates->cpu_share);
	put(screen, "store    %" PRIu64 " %s, %" PRIu64 " %s; log %s", sample->keys,
	    sample->keys == 1 ? "key" : "keys", sample->actors, sample->actors == 1 ? "actor" : "actors",
	    pd_size_text((double)pd_top_figure(sample, "log_bytes")).bytes);
	put(screen, "         levels: %" PRIu64 " files, %s, %" PRIu64 " files in level 0; %s to compact",
	    pd_top_figure(sample, "levels_files"),
	    pd_size_text((double)pd_top_figure(sample, "levels_bytes")).bytes,
	    pd_top_figure(sample, "levels_level0_files"),
	    pd_size_text((double)pd_top_figure(sample, "levels_pending_compaction_bytes")).bytes);
}

void pd_top_draw(struct pd_output *output, const struct pd_top_view *view, unsigned rows, unsigned columns)
{
	struct screen screen = { .output = output, .rows = rows, .columns = columns };

	pd_output_text(output, "\033[H");
	put_head(&screen, view);
	put_commands(&screen, view->rates);
	put_hot(&screen, view->sample);
	put_log(&screen, view->rates);
	put_rest(&screen, view);
	put(&screen, "%s", "");
	put_memory(&screen, view->sample);
	pd_output_text(output, "\033[J");
}

/* ---- lines ---- */

void pd_top_line(struct pd_output *output, const struct pd_top_view *view, bool with_header)
{
	const struct pd_top_sample *sample = view->sample;
	const struct pd_top_rates *rates = view->rates;
	double errors = 0;

	for (unsigned i = 0; i < PD_TOP_CLASSES; i++)
		errors += rates->errors_per_second[i];
	if (with_header)
		pd_output_text(output, "%-8s %8s %8s %8s %8s %8s %8s %8s %9s %9s %10s %8s\n", "time",
			       "read/s", "write/s", "other/s", "error/s", "group/s", "rec/grp", "clients",
			       "wait-p50", "wait-p99", "memory", "cpu");
	pd_output_text(output, "%-8s %8s %8s %8s %8s %8s %8.1f %8" PRIu64 " %9s %9s %10s %7.0f%%\n",
		       clock_text(sample->real_us).bytes, rate(rates->classes[0].per_second).bytes,
		       rate(rates->classes[1].per_second).bytes,
		       rate(rates->classes[2].per_second + rates->classes[3].per_second).bytes,
		       rate(errors).bytes, rate(rates->group_write.per_second).bytes,
		       rates->records_per_group, sample->clients,
		       duration(&rates->settling, rates->settling.p50_us).bytes,
		       duration(&rates->settling, rates->settling.p99_us).bytes,
		       pd_size_text((double)sample->resident).bytes, 100 * rates->cpu_share);
}

/* ---- JSON ---- */

static void times_fields(struct pd_output *output, const struct pd_top_times *times)
{
	pd_output_real_field(output, "per_second", times->per_second);
	if (times->count == 0) {
		pd_output_null_field(output, "p50_us");
		pd_output_null_field(output, "p99_us");
		return;
	}
	pd_output_real_field(output, "p50_us", times->p50_us);
	pd_output_real_field(output, "p99_us", times->p99_us);
}

static void commands_fields(struct pd_output *output, const struct pd_top_rates *rates)
{
	pd_output_open(output, "commands", '{');
	for (unsigned i = 0; i < PD_TOP_CLASSES; i++) {
		pd_output_open(output, pd_top_class_names[i], '{');
		times_fields(output, rates->classes + i);
		pd_output_real_field(output, "errors_per_second", rates->errors_per_second[i]);
		pd_output_close(output, '}');
	}
	pd_output_close(output, '}');
	pd_output_open(output, "busiest", '[');
	for (size_t i = 0; i < rates->busiest_count; i++) {
		pd_output_open(output, NULL, '{');
		pd_output_string_field(output, "command", rates->busiest[i].name);
		pd_output_real_field(output, "per_second", (double)rates->busiest[i].calls / rates->seconds);
		pd_output_close(output, '}');
	}
	pd_output_close(output, ']');
}

static void hot_fields(struct pd_output *output, const struct pd_top_sample *sample)
{
	pd_output_open(output, "hot_actors", '[');
	for (size_t i = 0; i < sample->hot_count; i++) {
		const struct pd_top_actor *actor = sample->hot + i;

		pd_output_open(output, NULL, '{');
		pd_output_bytes_field(output, "tenant", pd_slice(actor->tenant, actor->tenant_size));
		pd_output_bytes_field(output, "name", pd_slice(actor->name, actor->name_size));
		pd_output_number_field(output, "per_second", actor->per_second);
		pd_output_close(output, '}');
	}
	pd_output_close(output, ']');
}

static void log_fields(struct pd_output *output, const struct pd_top_rates *rates)
{
	pd_output_open(output, "log", '{');
	pd_output_open(output, "group_write", '{');
	times_fields(output, &rates->group_write);
	pd_output_close(output, '}');
	pd_output_open(output, "replies", '{');
	times_fields(output, &rates->settling);
	pd_output_close(output, '}');
	pd_output_open(output, "sync", '{');
	times_fields(output, &rates->sync);
	pd_output_close(output, '}');
	pd_output_real_field(output, "records_per_second", rates->records_per_second);
	pd_output_real_field(output, "records_per_group", rates->records_per_group);
	pd_output_real_field(output, "bytes_per_second", rates->log_bytes_per_second);
	pd_output_close(output, '}');
}

static void memory_fields(struct pd_output *output, const struct pd_top_sample *sample)
{
	pd_output_open(output, "memory", '{');
	pd_output_number_field(output, "budget", sample->budget);
	pd_output_number_field(output, "used", sample->used);
	pd_output_number_field(output, "resident", sample->resident);
	pd_output_open(output, "parts", '[');
	for (size_t i = 0; i < sample->part_count; i++) {
		pd_output_open(output, NULL, '{');
		pd_output_string_field(output, "name", sample->parts[i].name);
		pd_output_number_field(output, "bytes", sample->parts[i].bytes);
		pd_output_number_field(output, "limit", sample->parts[i].limit);
		pd_output_close(output, '}');
	}
	pd_output_close(output, ']');
	pd_output_close(output, '}');
}

static void client_fields(struct pd_output *output, const struct pd_top_sample *sample)
{
	pd_output_open(output, "clients", '{');
	pd_output_number_field(output, "connected", sample->clients);
	pd_output_number_field(output, "holding_replies", sample->holding);
	pd_output_number_field(output, "waiting_for_memory", sample->waiting_memory);
	pd_output_number_field(output, "waiting_for_brake", sample->waiting_brake);
	pd_output_number_field(output, "waiting_for_reader", sample->waiting_reader);
	pd_output_number_field(output, "waiting_for_other", sample->waiting_other);
	pd_output_close(output, '}');
}

void pd_top_json(struct pd_output *output, const struct pd_top_view *view)
{
	const struct pd_top_sample *sample = view->sample;
	const struct pd_top_rates *rates = view->rates;

	pd_output_open(output, NULL, '{');
	pd_output_time_field(output, "time", sample->real_us);
	pd_output_string_field(output, "server", view->server);
	pd_output_string_field(output, "version", sample->version);
	pd_output_real_field(output, "seconds", rates->seconds);
	pd_output_number_field(output, "uptime_s", sample->uptime_s);
	pd_output_bool_field(output, "recovering", sample->loading);
	pd_output_string_field(output, "trouble", sample->trouble);
	commands_fields(output, rates);
	hot_fields(output, sample);
	log_fields(output, rates);
	memory_fields(output, sample);
	client_fields(output, sample);
	pd_output_real_field(output, "received_bytes_per_second", rates->received_per_second);
	pd_output_real_field(output, "sent_bytes_per_second", rates->sent_per_second);
	pd_output_real_field(output, "cpu_share", rates->cpu_share);
	pd_output_open(output, "store", '{');
	for (size_t i = 0; i < sample->figure_count; i++) {
		pd_output_key(output, pd_slice_string(sample->figures[i].name));
		pd_output_number_field(output, NULL, sample->figures[i].value);
	}
	pd_output_close(output, '}');
	pd_output_close(output, '}');
	pd_output_end(output);
}
