/* MEMORY: what takes how much, in Redis's words where they mean the same. PD.MEMORY has the limits, too. */
#include <stdio.h>

#include "engine/upkeep.h"
#include "front/resp/front_private.h"
#include "os/heap.h"

static void write_number(struct pd_resp_writer *reply, const char *name, uint64_t number)
{
	pd_resp_write_bulk_string(reply, name);
	pd_resp_write_integer(reply, (int64_t)number);
}

static void answer_stats(struct pd_resp_call *call)
{
	const struct pd_resp_front *front = call->client->front;
	struct pd_engine_stats stats = { 0 };
	struct pd_memory_report report;
	char name[64];

	if (!front->loading)
		pd_engine_stats(front->engine, &stats);
	pd_resp_read_memory(front, &report);
	pd_resp_write_map(call->reply, 7 + report.count);
	write_number(call->reply, "total.allocated", report.used);
	write_number(call->reply, "resident", report.resident);
	write_number(call->reply, "budget", report.budget);
	write_number(call->reply, "clients.normal", front->memory.used);
	write_number(call->reply, "keys.count", stats.keys);
	/* Of what is in memory: most keys may be on the disk alone. */
	write_number(call->reply, "dataset.bytes", stats.memory_bytes);
	pd_resp_write_bulk_string(call->reply, "dataset.percentage");
	pd_resp_write_double(call->reply,
			     report.used > 0 ? 100.0 * (double)stats.memory_bytes / (double)report.used : 0);
	for (size_t i = 0; i < report.count; i++) {
		(void)snprintf(name, sizeof name, "perdure.%s", report.parts[i].name);
		write_number(call->reply, name, report.parts[i].bytes);
	}
}

static int diagnose(const struct pd_resp_front *front, const struct pd_memory_report *report,
		    struct pd_buffer *text)
{
	const struct pd_resp_memory *clients = &front->memory;
	uint64_t held = report->resident > report->used ? report->resident - report->used : 0;
	size_t empty = text->size;
	int result = 0;

	if (report->budget > 0 && report->resident > report->budget)
		result = pd_buffer_printf(
			text,
			"* The process has %llu MiB, the budget is %llu MiB: the cache shrinks, and large "
			"requests wait. If it stays so, raise --memory-budget.\n",
			(unsigned long long)(report->resident >> 20),
			(unsigned long long)(report->budget >> 20));
	if (result == 0 && held > (64u << 20) && held > report->used / 2)
		result = pd_buffer_printf(
			text,
			"* %llu MiB of the process are in no part's count: code, and what the heap keeps. "
			"MEMORY PURGE gives back what is free of it.\n",
			(unsigned long long)(held >> 20));
	if (result == 0 && clients->waiting > 0)
		result = pd_buffer_printf(
			text, "* %zu clients wait for memory: CLIENT LIST tells who holds it (tot-mem).\n",
			clients->waiting);
	if (result == 0 && clients->refused_requests + clients->refused_clients + clients->closed_clients > 0)
		result = pd_buffer_printf(text,
					  "* For want of memory %llu requests and %llu clients have been "
					  "refused so far, and %llu clients "
					  "closed: send less at once, or raise --memory-budget.\n",
					  (unsigned long long)clients->refused_requests,
					  (unsigned long long)clients->refused_clients,
					  (unsigned long long)clients->closed_clients);
	if (result == 0 && text->size == empty)
		result = pd_buffer_printf(text, "Memory is as it should be: %llu MiB of %llu MiB.\n",
					  (unsigned long long)(report->resident >> 20),
					  (unsigned long long)(report->budget >> 20));
	return result;
}

static void answer_doctor(struct pd_resp_call *call)
{
	struct pd_memory_report report;
	struct pd_buffer text;

	pd_resp_read_memory(call->client->front, &report);
	pd_buffer_init(&text, 16 * 1024);
	if (diagnose(call->client->front, &report, &text) == 0)
		pd_resp_write_verbatim(call->reply, "txt", pd_buffer_slice(&text));
	else
		pd_resp_write_error(call->reply, "OOM out of memory for the text");
	pd_buffer_done(&text);
}

static void answer_purge(struct pd_resp_call *call)
{
	pd_os_release_memory();
	pd_resp_write_status(call->reply, "OK");
}

static void answer_malloc_stats(struct pd_resp_call *call)
{
	static const char text[] = "Stats not supported for the current allocator\n";

	pd_resp_write_verbatim(call->reply, "txt", pd_slice_string(text));
}

static void answer_help(struct pd_resp_call *call)
{
	static const char *const lines[] = {
		"DOCTOR",
		"    Return what is noteworthy about the server's memory.",
		"MALLOC-STATS",
		"    Return the allocator's own statistics: it has none to give.",
		"PURGE",
		"    Give back to the system what is free inside the heap.",
		"STATS",
		"    Return what takes how much memory. PD.MEMORY tells the limits, too.",
		"USAGE <key> [SAMPLES <count>]",
		"    Return how many bytes a key takes as it is stored. Of a hash, <count> fields (default: "
		"5, 0 means all)",
		"    are looked at.",
	};

	pd_resp_write_help(call->reply, "MEMORY", lines, sizeof lines / sizeof *lines);
}

#define FLAGS (PD_COMMAND_CONNECTION | PD_COMMAND_LOADING)
#define ROW(name, since, summary, answer)                                                                    \
	{                                                                                                    \
		{ "memory|" name, 2, FLAGS, 0, 0, 0, "server", since, summary, "O(1)", NULL }, answer, false \
	}

static const struct pd_resp_command commands[] = {
	ROW("doctor", "4.0.0", "Tells what is noteworthy about the server's memory.", answer_doctor),
	ROW("help", "4.0.0", "Returns helpful text about the different subcommands.", answer_help),
	ROW("malloc-stats", "4.0.0", "Would tell the allocator's statistics.", answer_malloc_stats),
	ROW("purge", "4.0.0", "Gives free memory back to the system.", answer_purge),
	ROW("stats", "4.0.0", "Tells what takes how much memory.", answer_stats),
};

const struct pd_resp_commands pd_resp_commands_memory = { commands, sizeof commands / sizeof *commands };
