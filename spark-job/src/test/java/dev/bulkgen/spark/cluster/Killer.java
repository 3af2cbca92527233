package dev.bulkgen.spark.cluster;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;

/** Kills executors that work, one by one, at random moments. */
final class Killer {
  private static final int MOST_WAIT_MILLIS = 4000;

  private final Random random;
  private final Path log;
  private final int most;
  private final Set<Long> killed = new HashSet<>();

  /**
   * @param log that {@link WorkLog} writes
   * @param most executors to kill
   */
  Killer(Random random, Path log, int most) {
    this.random = random;
    this.log = log;
    this.most = most;
  }

  int kills() {
    return killed.size();
  }

  void act() throws IOException, InterruptedException {
    Thread.sleep(100);
    List<Long> working = new ArrayList<>();
    WorkLog.read(log)
        .forEach(
            (pid, tokens) -> {
              boolean alive = ProcessHandle.of(pid).filter(ProcessHandle::isAlive).isPresent();
              if (tokens > 0 && alive && !killed.contains(pid)) {
                working.add(pid);
              }
            });
    if (killed.size() < most && !working.isEmpty()) {
      Thread.sleep(random.nextInt(MOST_WAIT_MILLIS));
      long pid = working.get(random.nextInt(working.size()));
      ProcessHandle.of(pid).ifPresent(ProcessHandle::destroyForcibly);
      killed.add(pid);
    }
  }
}
