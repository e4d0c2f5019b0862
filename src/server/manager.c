/* What the service manager hears of the server: sd_notify(3). */
#include <stdio.h>

#include "server/server_private.h"

#define STATUS_EVERY_US 1000000u
#define MORE_TIME_US    60000000u /* asked for as long as recovery gets on */

void pd_server_tell_recovery(struct pd_server *server, uint64_t now_us)
{
	const struct pd_recovery *recovery = &server->recovery;
	bool gets_on = recovery->bytes != server->told_bytes || recovery->records != server->told_records;
	unsigned percent = 0;
	char text[200];

	pd_server_tell_alive(server, now_us);
	if (server->notify == NULL || now_us < server->next_status_us)
		return;
	server->next_status_us = now_us + STATUS_EVERY_US;
	server->told_bytes = recovery->bytes;
	server->told_records = recovery->records;
	if (recovery->total_bytes > 0 && recovery->bytes <= recovery->total_bytes)
		percent = (unsigned)(recovery->bytes * 100 / recovery->total_bytes);
	(void)snprintf(text, sizeof text, "STATUS=recovering: %u%%, %llu records", percent,
		       (unsigned long long)recovery->records);
	pd_os_notify_send(server->notify, text);
	if (gets_on) {
		(void)snprintf(text, sizeof text, "EXTEND_TIMEOUT_USEC=%u", MORE_TIME_US);
		pd_os_notify_send(server->notify, text);
	}
}

void pd_server_tell_ready(struct pd_server *server)
{
	char text[200];

	(void)snprintf(text, sizeof text, "READY=1\nSTATUS=serving, RESP on port %d",
		       server->options.resp_port);
	pd_os_notify_send(server->notify, text);
}

void pd_server_tell_stopping(struct pd_server *server)
{
	pd_os_notify_send(server->notify,
			  "STOPPING=1\nSTATUS=stopping: replies go out, everything is synced");
}

void pd_server_tell_alive(struct pd_server *server, uint64_t now_us)
{
	uint64_t interval_us = pd_os_notify_watchdog_us(server->notify);

	if (interval_us == 0 || now_us < server->next_watchdog_us)
		return;
	/* Twice as often as it has to be, as sd_watchdog_enabled(3) advises. */
	server->next_watchdog_us = now_us + interval_us / 2;
	pd_os_notify_send(server->notify, "WATCHDOG=1");
}

uint64_t pd_server_watchdog_due_us(const struct pd_server *server)
{
	return pd_os_notify_watchdog_us(server->notify) != 0 ? server->next_watchdog_us : UINT64_MAX;
}
