/* disklimit - what the disk can do of deliveries, if nothing else is done
 *
 * usage: disklimit FOLDER WRITERS SECONDS OCTETS
 *
 * WRITERS processes each write files of OCTETS octets: create it in FOLDER/N/tmp, write, fsync, rename to FOLDER/N/new,
 * fsync of that folder, N going round the two hundred folders that stand for mailboxes. The number of files written
 * in SECONDS is printed.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAILBOXES 200

static double clock_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void must(int good, const char *what) {
    if (good)
        return;
    perror(what);
    exit(1);
}

static void deliver(const char *folder, int mailbox, int writer, long number, const char *content, size_t octets) {
    char new[3000], temporary[4096], final[4096];
    snprintf(new, sizeof new, "%s/%d/new", folder, mailbox);
    snprintf(temporary, sizeof temporary, "%s/%d/tmp/%d.%ld", folder, mailbox, writer, number);
    snprintf(final, sizeof final, "%s/%d.%ld", new, writer, number);
    int file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    must(file >= 0, temporary);
    for (size_t written = 0; written < octets;) {
        ssize_t step = write(file, content + written, octets - written);
        must(step > 0, "write");
        written += step;
    }
    must(fsync(file) == 0, "fsync");
    close(file);
    must(rename(temporary, final) == 0, final);
    int directory = open(new, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(directory >= 0 && fsync(directory) == 0, new);
    close(directory);
}

int main(int count, char **arguments) {
    if (count != 5) {
        fputs("usage: disklimit FOLDER WRITERS SECONDS OCTETS\n", stderr);
        return 64;
    }
    int writers = atoi(arguments[2]);
    size_t octets = atol(arguments[4]);
    char *content = malloc(octets), path[3000];
    must(content != NULL, "memory");
    memset(content, 'x', octets);
    for (int i = 0; i < MAILBOXES; i++)
        for (int part = 0; part < 3; part++) {
            snprintf(path, sizeof path, "%s/%d%s", arguments[1], i, part ? part == 1 ? "/tmp" : "/new" : "");
            mkdir(path, 0700);
        }
    long *done = mmap(NULL, writers * 64, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(done != MAP_FAILED, "mmap");
    double end = clock_now() + atof(arguments[3]);
    for (int writer = 0; writer < writers; writer++) {
        pid_t child = fork();
        must(child >= 0, "fork");
        if (child)
            continue;
        for (long number = 0; clock_now() < end; number++) {
            deliver(arguments[1], (writer * 37 + number) % MAILBOXES, writer, number, content, octets);
            if (clock_now() < end)
                done[writer * 8]++;
        }
        _exit(0);
    }
    int status, bad = 0;
    while (wait(&status) > 0)
        bad |= status;
    long total = 0;
    for (int writer = 0; writer < writers; writer++)
        total += done[writer * 8];
    printf("%ld\n", total);
    return bad != 0;
}
