package dev.bulkgen.spark.cluster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.spark.JavaProcess;
import dev.bulkgen.spark.Sessions;
import dev.bulkgen.spark.job.DuplicateAttempts;
import dev.bulkgen.spark.job.JobRun;
import dev.bulkgen.spark.plugin.DeviceLoss;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The job on a standalone cluster of several processes. */
class TestCluster {
  private static final Path MODEL =
      Path.of("../examples/models/recall").toAbsolutePath().normalize();
  private static final int EXECUTOR_KILLS = 10;
  private static final Set<Integer> DRIVER_KILLS = Set.of(4, 8);

  /** At once, of whatever runs. */
  private static final String[] SPECULATION = {
    "spark.speculation", "true",
    "spark.speculation.interval", "50ms",
    "spark.speculation.minTaskRuntime", "100ms",
    "spark.speculation.task.duration.threshold", "200ms"
  };

  @TempDir static Path root;

  private static LocalCluster cluster;

  @TempDir Path folder;

  @BeforeAll
  static void start() throws IOException {
    cluster = LocalCluster.start(root);
  }

  @AfterAll
  static void stop() throws InterruptedException {
    cluster.close();
  }

  private static List<String> generate(Path input, Path output, String... more) {
    List<String> command = new ArrayList<>(List.of("generate", "--model", MODEL.toString()));
    command.addAll(List.of("--input", input.toString(), "--output", output.toString()));
    command.addAll(List.of("--id-column", "id", "--memory", "128MB"));
    command.addAll(List.of(more));
    return command;
  }

  /** Two executors with two task slots each. */
  private static Map<String, String> twoExecutors(String... pairs) {
    Map<String, String> conf = new LinkedHashMap<>();
    conf.put("spark.executor.cores", "2");
    conf.put("spark.cores.max", "4");
    for (int i = 0; i < pairs.length; i += 2) {
      conf.put(pairs[i], pairs[i + 1]);
    }
    return conf;
  }

  private static void assertSameShards(Path expected, Path actual) throws IOException {
    JobRun.assertSameShards(JobRun.shards(expected), JobRun.shards(actual));
  }

  private static JsonNode report(Path output) throws IOException {
    return new ObjectMapper().readTree(output.resolve("_bulkgen/report.json").toFile());
  }

  private static void done(JavaProcess driver) throws InterruptedException {
    assertEquals(0, driver.waitFor(), driver::output);
  }

  private static void print(String format, Object... values) {
    System.out.printf(Locale.ROOT, format + "%n", values);
  }

  @Test
  void testKillsChangeNothing() throws Exception {
    long seed = System.nanoTime();
    int rows = 5000;
    int unitRows = 50;
    Path input = RecallRows.write(folder.resolve("in.jsonl"), rows, 4);
    Path calm = folder.resolve("calm");
    String[] settings = {"--max-tokens", "4", "--temperature", "0", "--unit-rows", "" + unitRows};
    done(cluster.submit(twoExecutors(), generate(input, calm, settings)));

    Path disturbed = folder.resolve("disturbed");
    Path log = Files.createDirectory(folder.resolve("worklog"));
    Killer killer = new Killer(new Random(seed), log, EXECUTOR_KILLS);
    Map<String, String> conf =
        twoExecutors("spark.plugins", WorkLog.class.getName(), WorkLog.FOLDER, log.toString());
    int driverKills = 0;
    boolean ended = false;
    while (!ended) {
      try (JavaProcess driver = cluster.submit(conf, generate(input, disturbed, settings))) {
        while (driver.isAlive() && driverKills * 4 + 4 > killer.kills()
            || driver.isAlive() && driverKills == DRIVER_KILLS.size()) {
          killer.act();
        }
        ended = !driver.isAlive();
        if (ended) {
          done(driver);
        } else {
          driver.kill();
          driverKills++;
        }
      }
    }
    assertSameShards(calm, disturbed);
    Dataset<Row> result = Sessions.shared().read().parquet(disturbed.toString());
    assertEquals(rows, result.count());
    assertEquals(rows, result.select("id").distinct().count());
    assertTrue(killer.kills() >= EXECUTOR_KILLS, "only " + killer.kills() + " kills");
    assertEquals(2, driverKills);
    JsonNode report = report(disturbed);
    long needed = report.get("prompt_tokens").asLong() + report.get("completion_tokens").asLong();
    long spent = WorkLog.read(log).values().stream().mapToLong(Long::longValue).sum();
    double redoneUnits = (double) (spent - needed) / needed * rows / unitRows;
    print(
        "seed %d: %d executors and %d drivers killed; %.1f %% of the work redone, %.2f units a kill",
        seed,
        killer.kills(),
        driverKills,
        100.0 * (spent - needed) / needed,
        redoneUnits / (killer.kills() + 2 * driverKills));
  }

  private static Map<String, String> metricsInto(Path folder) {
    String sink = "spark.metrics.conf.driver.sink.csv.";
    Map<String, String> conf = new LinkedHashMap<>();
    conf.put(sink + "class", "org.apache.spark.metrics.sink.CsvSink");
    conf.put(sink + "directory", folder.toString());
    conf.put("spark.metrics.namespace", "job");
    return conf;
  }

  /** The last value of a gauge of the driver's plugin. */
  private static long metric(Path folder, String name) throws IOException {
    String plugin = "dev.bulkgen.spark.plugin.BulkgenPlugin.";
    Path file = folder.resolve("job.driver.plugin." + plugin + name + ".csv");
    assertTrue(Files.exists(file), () -> file + " is missing");
    List<String> lines = Files.readAllLines(file);
    return Long.parseLong(lines.get(lines.size() - 1).split(",")[1]);
  }

  /** Several slots fill the places that the end of a unit leaves. */
  @Test
  void testTaskSlotsKeepTheBatchFull() throws Exception {
    Path input = RecallRows.write(folder.resolve("in.jsonl"), 240, 2);
    Map<Integer, Double> occupancy = new TreeMap<>();
    for (int slots : new int[] {1, 4}) {
      Path output = folder.resolve("slots" + slots);
      Path metrics = Files.createDirectory(folder.resolve("metrics" + slots));
      Map<String, String> conf = metricsInto(metrics);
      conf.put("spark.executor.cores", "" + slots);
      conf.put("spark.cores.max", "" + slots);
      String[] settings = {"--max-tokens", "40", "--unit-rows", "12", "--max-batch", "16"};
      done(cluster.submit(conf, generate(input, output, settings)));
      assertEquals(1, report(output).at("/engine/engines").asInt());
      assertEquals(9600, metric(metrics, "generated_tokens"));
      assertEquals(9600, metric(metrics, "executor_0.generated_tokens"));
      occupancy.put(slots, report(output).at("/engine/batch_occupancy").asDouble());
    }
    print(
        "batch occupancy: %.0f %% with one task slot, %.0f %% with four",
        100 * occupancy.get(1), 100 * occupancy.get(4));
    assertTrue(occupancy.get(4) > 1.2 * occupancy.get(1), occupancy.toString());
    assertSameShards(folder.resolve("slots1"), folder.resolve("slots4"));
  }

  /** The same unit in two processes at once, by speculation and as a whole on both sides. */
  @Test
  void testDuplicateAttemptsInTwoProcesses() throws Exception {
    Path input = RecallRows.write(folder.resolve("in.jsonl"), 32, 2);
    Path calm = folder.resolve("calm");
    Map<String, String> settings =
        new TreeMap<>(Map.of("max-tokens", "16", "unit-rows", "16", "threads", "1"));
    settings.putAll(Map.of("model", "" + MODEL, "input", "" + input, "memory", "128MB"));
    settings.putAll(Map.of("output", "" + calm, "id-column", "id"));
    List<String> command = new ArrayList<>(List.of("generate"));
    settings.forEach((name, value) -> command.add("--" + name + "=" + value));
    Map<String, String> conf = twoExecutors("spark.executor.cores", "1", "spark.cores.max", "2");
    done(cluster.submit(conf, command));

    Path events = Files.createDirectory(folder.resolve("events"));
    Path speculated = folder.resolve("speculated");
    Map<String, String> speculation = twoExecutors(SPECULATION);
    speculation.putAll(EventLog.into(events));
    command.add("--output=" + speculated);
    done(cluster.submit(speculation, command));
    assertSameShards(calm, speculated);
    // Whether Spark speculates hangs on how fast this machine is; what follows does not.
    long copies =
        EventLog.attempts(events, "bulkgen generate").stream()
            .filter(attempt -> attempt.get("Speculative").asBoolean())
            .count();

    Map<String, byte[]> expected = JobRun.shards(calm);
    for (String name : expected.keySet()) {
      Files.delete(calm.resolve(name));
    }
    List<String> values = new ArrayList<>();
    settings.forEach((name, value) -> values.add(name + "=" + value));
    JavaProcess twice = cluster.submit(conf, DuplicateAttempts.class.getName(), values);
    done(twice);
    JobRun.assertSameShards(expected, JobRun.shards(calm));
    long all = report(calm).get("completion_tokens").asLong();
    for (int executor = 0; executor < 2; executor++) {
      String said = "executor " + executor + " generated " + all;
      assertTrue(twice.output().contains(said), () -> said + " in " + twice.output());
    }
    print("two processes ran each unit at once; %d units speculated on", copies);
  }

  private static Map<String, String> emulatedGpus(String... pairs) {
    Path emulator = Path.of(System.getProperty("bulkgen.emulator", "")).toAbsolutePath();
    Assumptions.assumeTrue(
        Files.exists(emulator.resolve("libcuda.so.1")),
        () -> "the emulated device was not built: " + emulator);
    Map<String, String> conf = twoExecutors(pairs);
    // Spark splits the options at spaces, which a checkout's path may have.
    conf.put("spark.executor.extraJavaOptions", "\"-Dbulkgen.emulator=" + emulator + "\"");
    conf.put("spark.executorEnv.BULKGEN_EMULATOR_DEVICES", "2");
    conf.put("spark.executor.resource.gpu.amount", "1");
    conf.put("spark.task.resource.gpu.amount", "0.5");
    return conf;
  }

  /** Each executor on the GPU it was given; one that loses its device is replaced. */
  @Test
  void testAssignedGpusAndALostDevice() throws Exception {
    Path input = RecallRows.write(folder.resolve("in.jsonl"), 48, 2);
    String[] settings = {"--backend", "cuda", "--max-tokens", "2", "--temperature", "0"};
    String[] units = {"--unit-rows", "4", "--max-batch", "4", "--max-model-len", "256"};
    List<String> more = new ArrayList<>(List.of(settings));
    more.addAll(List.of(units));
    Path sound = folder.resolve("sound");
    done(cluster.submit(emulatedGpus(), generate(input, sound, more.toArray(String[]::new))));
    Set<String> devices = new HashSet<>();
    for (JsonNode device : report(sound).get("devices")) {
      devices.add(device.get("host").asText() + " " + device.get("backend").asText());
      assertTrue(device.get("completion_tokens").asLong() > 0, device.toString());
    }
    assertEquals(
        Set.of(
            "127.0.0.1 cuda (Emulated device, device 0)",
            "127.0.0.2 cuda (Emulated device 1, device 1)"),
        devices);

    Path broken = folder.resolve("broken");
    Path mark = folder.resolve("mark");
    Map<String, String> conf =
        emulatedGpus(
            "spark.plugins", BrokenDevice.class.getName(), BrokenDevice.MARK, mark.toString());
    more.addAll(List.of("--gpu-slots", "2"));
    JavaProcess driver = cluster.submit(conf, generate(input, broken, more.toArray(String[]::new)));
    done(driver);
    assertTrue(Files.exists(mark));
    String said = driver.output();
    String all = said + cluster.executorLogs();
    assertTrue(said.contains("exited with code " + DeviceLoss.EXIT_CODE), all);
    assertTrue(said.contains("lost its device and ends"), all);
    assertSameShards(sound, broken);
  }

  /** The driver finds nothing wrong with such a model: it reads no weights. */
  @Test
  void testAModelThatDoesNotLoadFailsTheJobWithTheCause() throws Exception {
    Path model = Files.createDirectory(folder.resolve("model"));
    try (Stream<Path> files = Files.list(MODEL)) {
      for (Path file : files.toList()) {
        Files.copy(file, model.resolve(file.getFileName()));
      }
    }
    Path config = model.resolve("config.json");
    Files.writeString(
        config,
        Files.readString(config)
            .replace("\"intermediate_size\": 256", "\"intermediate_size\": 320"));
    Path input = RecallRows.write(folder.resolve("in.jsonl"), 8, 2);
    Path output = folder.resolve("out");
    int before = executors();
    List<String> command = generate(input, output);
    command.set(command.indexOf(MODEL.toString()), model.toString());
    long start = System.nanoTime();
    Path events = Files.createDirectory(folder.resolve("events"));
    Map<String, String> conf = twoExecutors();
    conf.putAll(EventLog.into(events));
    JavaProcess driver = cluster.submit(conf, command);
    assertEquals(4, driver.waitFor(), driver::output);
    assertTrue(driver.output().contains("bulkgen: " + model), driver::output);
    assertEquals(2, executors() - before, "executors were started again");
    assertFalse(Files.exists(output));
    List<JsonNode> attempts = EventLog.attempts(events, "bulkgen: open the engines");
    assertFalse(attempts.isEmpty());
    attempts.forEach(attempt -> assertEquals(0, attempt.get("Attempt").asInt(), "was retried"));
    print(
        "a model that does not load: the job ends after %.1f s", (System.nanoTime() - start) / 1e9);
  }

  /** That the cluster has started so far. */
  private static int executors() throws IOException {
    int count = 0;
    for (String worker : List.of("work0", "work1")) {
      Path work = root.resolve(worker);
      if (Files.exists(work)) {
        try (Stream<Path> files = Files.walk(work, 2)) {
          count += (int) files.filter(path -> path.getParent().getParent().equals(work)).count();
        }
      }
    }
    return count;
  }
}
