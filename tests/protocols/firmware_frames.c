/*
 * Writes and reads frames with stopover_link.h, for the tests to compare.
 *
 * firmware_frames write: lines "type wrapping size seq uptime field…" on stdin (bytes and text in
 *     hex, "-" none), a line of hex a frame on stdout, "-" where the header refused.
 * firmware_frames hear: the serial line on stdin, what the header heard on stdout, a line each.
 * firmware_frames message: one frame without COBS on stdin, what the header read on stdout.
 * firmware_frames count: counter readings on stdin, the uptime of each on stdout.
 * firmware_frames acked: lines "seq acked_seq" on stdin, 1 or 0 on stdout.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stopover_link.h"

#define LINE_BYTES 65536

static char line[LINE_BYTES];

static const char *word(void)
{
    const char *found = strtok(NULL, " \n");
    if (found == NULL) {
        fprintf(stderr, "a field is missing\n");
        exit(2);
    }
    return found;
}

static uint64_t number(void)
{
    const char *digits = word();
    return digits[0] == '-' ? (uint64_t)strtoll(digits, NULL, 10) : strtoull(digits, NULL, 10);
}

static size_t bytes(uint8_t *out)
{
    const char *hex = word();
    size_t length = 0;
    if (hex[0] == '-') {
        return 0;
    }
    for (; hex[0] != '\0'; hex += 2) {
        char pair[3] = {hex[0], hex[1], '\0'};
        out[length++] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return length;
}

static const char *text(char *out)
{
    out[bytes((uint8_t *)out)] = '\0';
    return out;
}

static size_t write_frame(const char *type, stopover_link *link, uint8_t *out, size_t size,
                          uint64_t uptime_us)
{
    static char words[LINE_BYTES];
    static uint8_t payload[LINE_BYTES];
    static stopover_pulse pulses[255];
    static stopover_radio_reading radios[255];
    int i;
    if (strcmp(type, "hello") == 0) {
        stopover_hello_body body;
        bytes(payload);
        memcpy(body.uid, payload, sizeof body.uid);
        for (i = 0; i < 3; i++) {
            body.firmware[i] = (uint8_t)number();
        }
        body.reset_cause = (uint8_t)number();
        body.boot_count = (uint32_t)number();
        body.radios = (uint8_t)number();
        body.name = text(words);
        return stopover_hello(link, out, size, uptime_us, &body);
    }
    if (strcmp(type, "packet") == 0) {
        stopover_packet_body body;
        body.radio = (uint8_t)number();
        body.modulation = (uint8_t)number();
        body.frequency_hz = (uint32_t)number();
        body.rssi_ddbm = (int16_t)number();
        body.snr_ddb = (int16_t)number();
        body.frequency_error_hz = (int32_t)number();
        body.length = (uint8_t)bytes(payload);
        body.bytes = payload;
        return stopover_packet(link, out, size, uptime_us, &body);
    }
    if (strcmp(type, "pulses") == 0) {
        uint8_t radio = (uint8_t)number();
        uint32_t frequency_hz = (uint32_t)number();
        uint8_t count = (uint8_t)number();
        for (i = 0; i < count; i++) {
            pulses[i].age_us = (uint32_t)number();
            pulses[i].offset_hz = (int32_t)number();
            pulses[i].signal_ddb = (int16_t)number();
            pulses[i].noise_ddb = (int16_t)number();
            pulses[i].width_us = (uint16_t)number();
        }
        return stopover_pulses(link, out, size, uptime_us, radio, frequency_hz, pulses, count);
    }
    if (strcmp(type, "status") == 0) {
        stopover_status_body body;
        body.battery_mv = (uint16_t)number();
        body.solar_mv = (uint16_t)number();
        body.solar_ma = (int16_t)number();
        body.temperature_cdeg = (int16_t)number();
        body.dropped = (uint32_t)number();
        body.queued = (uint16_t)number();
        body.radio_count = (uint8_t)number();
        body.radios = radios;
        for (i = 0; i < body.radio_count; i++) {
            radios[i].noise_ddbm = (int16_t)number();
            radios[i].packets = (uint32_t)number();
        }
        return stopover_status(link, out, size, uptime_us, &body);
    }
    if (strcmp(type, "gps") == 0) {
        stopover_gps_body body;
        body.unix_us = (int64_t)number();
        body.latitude_1e7 = (int32_t)number();
        body.longitude_1e7 = (int32_t)number();
        body.altitude_mm = (int32_t)number();
        body.fix = (uint8_t)number();
        body.satellites = (uint8_t)number();
        body.accuracy_mm = (uint32_t)number();
        body.pps_uptime_us = number();
        return stopover_gps(link, out, size, uptime_us, &body);
    }
    if (strcmp(type, "time") == 0) {
        return stopover_time(link, out, size, uptime_us, number());
    }
    if (strcmp(type, "ack") == 0) {
        return stopover_ack(link, out, size, uptime_us, (uint16_t)number());
    }
    if (strcmp(type, "log") == 0) {
        uint8_t level = (uint8_t)number();
        return stopover_log(link, out, size, uptime_us, level, text(words));
    }
    if (strcmp(type, "command") == 0) {
        return stopover_command(link, out, size, uptime_us, text(words));
    }
    return stopover_reply(link, out, size, uptime_us, text(words));
}

static void write_frames(void)
{
    while (fgets(line, sizeof line, stdin) != NULL) {
        const char *type = strtok(line, " \n");
        stopover_link link;
        size_t size, length, i;
        uint64_t uptime_us;
        uint8_t *out;
        link.wrapping = number() == 0 ? STOPOVER_SERIAL : STOPOVER_MQTT;
        size = (size_t)number();
        link.seq = (uint16_t)number();
        uptime_us = number();
        out = malloc(size > 0 ? size : 1); /* no larger: the sanitizer sees a byte too many */
        length = write_frame(type, &link, out, size, uptime_us);
        for (i = 0; i < length; i++) {
            printf("%02x", out[i]);
        }
        printf(length == 0 ? "-\n" : "\n");
        free(out);
    }
}

static void tell(const stopover_incoming *in)
{
    switch (in->type) {
    case STOPOVER_ACK:
        printf("ack %u\n", (unsigned)in->acked_seq);
        break;
    case STOPOVER_TIME:
        printf("time %" PRIu64 "\n", in->token);
        break;
    case STOPOVER_COMMAND:
        printf("command %s\n", in->command);
        break;
    default:
        break;
    }
}

static void hear_frames(void)
{
    stopover_receiver receiver;
    stopover_incoming in;
    int byte;
    stopover_receiver_reset(&receiver);
    while ((byte = getchar()) != EOF) {
        if (stopover_receive(&receiver, (uint8_t)byte, &in) != 0) {
            tell(&in);
        }
    }
}

static void read_message(void)
{
    stopover_incoming in;
    size_t length = fread(line, 1, sizeof line, stdin);
    if (stopover_read_frame((const uint8_t *)line, length, &in) != 0) {
        tell(&in);
    }
}

static void count_on(void)
{
    stopover_uptime uptime = {0, 0};
    while (fgets(line, sizeof line, stdin) != NULL) {
        printf("%" PRIu64 "\n", stopover_count_on(&uptime, (uint32_t)strtoul(line, NULL, 10)));
    }
}

static void tell_acked(void)
{
    while (fgets(line, sizeof line, stdin) != NULL) {
        char *acked_seq;
        uint16_t seq = (uint16_t)strtoul(line, &acked_seq, 10);
        printf("%d\n", stopover_is_acked(seq, (uint16_t)strtoul(acked_seq, NULL, 10)));
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "write") == 0) {
        write_frames();
    } else if (argc == 2 && strcmp(argv[1], "hear") == 0) {
        hear_frames();
    } else if (argc == 2 && strcmp(argv[1], "message") == 0) {
        read_message();
    } else if (argc == 2 && strcmp(argv[1], "count") == 0) {
        count_on();
    } else if (argc == 2 && strcmp(argv[1], "acked") == 0) {
        tell_acked();
    } else {
        fprintf(stderr, "usage: firmware_frames write | hear | message | count | acked\n");
        return 2;
    }
    return 0;
}
