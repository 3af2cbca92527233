package dev.bulkgen.spark.cluster;

import dev.bulkgen.spark.JavaProcess;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A standalone cluster of real processes on this machine, from the test's class path alone: a
 * master and two workers on hosts of their own, each with a GPU by its address, as a file says.
 * Programs go to it through spark-submit's class.
 */
final class LocalCluster implements AutoCloseable {
  private static final int WORKERS = 2;
  private static final int WORKER_CORES = 4;

  private final Path folder;
  private final Path home;
  private final Map<String, String> environment = new LinkedHashMap<>();
  private final String classFolders;
  private final List<JavaProcess> daemons = new ArrayList<>();
  private final String url;
  private int submissions;

  private LocalCluster(Path folder) throws IOException {
    this.folder = folder;
    this.home = sparkHome(folder.resolve("spark"));
    environment.put("SPARK_HOME", home.toString());
    environment.put("SPARK_SCALA_VERSION", "2.13");
    environment.put("SPARK_LOCAL_IP", "127.0.0.1");
    environment.put("JAVA_HOME", System.getProperty("java.home"));
    this.classFolders =
        classPath().filter(Files::isDirectory).map(Path::toString).collect(Collectors.joining(":"));
    this.url = "spark://127.0.0.1:" + freePort();
  }

  static LocalCluster start(Path folder) throws IOException {
    LocalCluster cluster = new LocalCluster(folder);
    String port = cluster.url.substring(cluster.url.lastIndexOf(':') + 1);
    cluster.daemon(
        "master",
        List.of(),
        "org.apache.spark.deploy.master.Master",
        List.of("--host", "127.0.0.1", "--port", port, "--webui-port", "0"));
    for (int worker = 0; worker < WORKERS; worker++) {
      cluster.worker(worker);
    }
    return cluster;
  }

  private static Stream<Path> classPath() {
    return Stream.of(System.getProperty("java.class.path").split(":"))
        .map(entry -> Path.of(entry).toAbsolutePath().normalize());
  }

  /** What a Spark installation is to its launcher: a folder of jars. */
  private static Path sparkHome(Path home) throws IOException {
    Path jars = Files.createDirectories(home.resolve("jars"));
    for (Path jar : classPath().filter(entry -> entry.toString().endsWith(".jar")).toList()) {
      Files.createSymbolicLink(jars.resolve(jar.getFileName()), jar);
    }
    Files.createDirectories(home.resolve("conf"));
    Files.writeString(
        home.resolve("conf/log4j2.properties"),
        """
        status = error
        appender.console.type = Console
        appender.console.name = console
        appender.console.target = SYSTEM_ERR
        appender.console.layout.type = PatternLayout
        appender.console.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n%ex{5}
        rootLogger.level = warn
        rootLogger.appenderRef.console.ref = console
        """);
    return home;
  }

  static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getByName("127.0.0.1"))) {
      return socket.getLocalPort();
    }
  }

  private void worker(int number) throws IOException {
    Path resources = folder.resolve("resources" + number + ".json");
    Files.writeString(
        resources,
        String.format(
            Locale.ROOT,
            "[{\"id\":{\"componentName\":\"spark.worker\",\"resourceName\":\"gpu\"},"
                + "\"addresses\":[\"%d\"]}]",
            number));
    daemon(
        "worker" + number,
        List.of(
            "-Dspark.worker.resource.gpu.amount=1", "-Dspark.worker.resourcesFile=" + resources),
        "org.apache.spark.deploy.worker.Worker",
        List.of(
            "--host",
            "127.0.0." + (number + 1),
            "--cores",
            String.valueOf(WORKER_CORES),
            "--memory",
            "4g",
            "--webui-port",
            "0",
            "--work-dir",
            folder.resolve("work" + number).toString(),
            url));
  }

  private void daemon(String name, List<String> options, String main, List<String> arguments)
      throws IOException {
    daemons.add(
        java(main, arguments)
            .option("-Xmx256m")
            .option(options.toArray(String[]::new))
            .start(folder.resolve(name + ".log")));
  }

  private JavaProcess java(String main, List<String> arguments) {
    return JavaProcess.of(main, arguments.toArray(String[]::new))
        .classPath(home + "/conf:" + classFolders + ":" + home + "/jars/*")
        .environment(environment)
        .option("-Dlog4j2.configurationFile=" + home.resolve("conf/log4j2.properties"));
  }

  /**
   * Runs a command of Bulkgen's as spark-submit would.
   *
   * @param conf of Spark
   */
  JavaProcess submit(Map<String, String> conf, List<String> command) throws IOException {
    List<String> arguments = new ArrayList<>(command);
    arguments.addAll(List.of("--master", url));
    return submit(conf, "dev.bulkgen.spark.cli.Main", arguments);
  }

  JavaProcess submit(Map<String, String> conf, String main, List<String> command)
      throws IOException {
    Map<String, String> all = new LinkedHashMap<>();
    all.put("spark.executor.extraClassPath", classFolders);
    all.put("spark.executor.memory", "512m");
    all.put("spark.driver.host", "127.0.0.1");
    all.put("spark.ui.enabled", "false");
    all.put("spark.sql.shuffle.partitions", "4");
    all.put("spark.task.maxFailures", "20");
    all.put("spark.scheduler.minRegisteredResourcesRatio", "1.0");
    all.put("spark.scheduler.maxRegisteredResourcesWaitingTime", "60s");
    all.putAll(conf);
    all.merge(
        "spark.executor.extraJavaOptions",
        "-Dlog4j2.configurationFile=" + home.resolve("conf/log4j2.properties"),
        (given, ours) -> given + " " + ours);
    List<String> arguments = new ArrayList<>(List.of("--master", url));
    all.forEach((key, value) -> arguments.addAll(List.of("--conf", key + "=" + value)));
    arguments.addAll(List.of("--class", main, "spark-internal"));
    arguments.addAll(command);
    return java("org.apache.spark.deploy.SparkSubmit", arguments)
        .option("-Xmx512m")
        .start(folder.resolve("driver" + submissions++ + ".log"));
  }

  /** What all executors so far have said. */
  String executorLogs() throws IOException {
    StringBuilder logs = new StringBuilder();
    for (int worker = 0; worker < WORKERS; worker++) {
      Path work = folder.resolve("work" + worker);
      if (Files.exists(work)) {
        try (Stream<Path> files = Files.walk(work)) {
          for (Path file : files.filter(path -> path.endsWith("stderr")).toList()) {
            logs.append(file).append('\n').append(Files.readString(file));
          }
        }
      }
    }
    return logs.toString();
  }

  @Override
  public void close() throws InterruptedException {
    for (int index = daemons.size() - 1; index >= 0; index--) {
      daemons.get(index).close();
    }
  }
}
