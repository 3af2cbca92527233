package dev.bulkgen.spark.cluster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.spark.JavaProcess;
import dev.bulkgen.spark.Sessions;
import dev.bulkgen.spark.job.JobRun;
import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.connect.SparkSession;
import org.apache.spark.sql.connect.service.SparkConnectServer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A server of Spark Connect as {@code conf/spark-sql.properties} has it, and Spark's client. */
class TestConnect {
  private static final int ROWS = 6;

  @TempDir Path folder;

  private JavaProcess server(int port) throws IOException {
    List<String> arguments = new ArrayList<>(List.of("--master", "local[2]"));
    arguments.addAll(List.of("--properties-file", "../conf/spark-sql.properties"));
    for (String entry :
        List.of(
            "spark.bulkgen.model=" + JobRun.MODEL,
            "spark.bulkgen.memory=64MB",
            "spark.bulkgen.temperature=0",
            "spark.connect.grpc.binding.address=127.0.0.1",
            "spark.connect.grpc.binding.port=" + port,
            "spark.driver.host=127.0.0.1",
            // Compiling a plan takes longer than running it over a test's few rows.
            "spark.sql.codegen.wholeStage=false",
            "spark.sql.codegen.factoryMode=NO_CODEGEN",
            "spark.sql.adaptive.enabled=false",
            "spark.sql.shuffle.partitions=2",
            "spark.ui.enabled=false")) {
      arguments.addAll(List.of("--conf", entry));
    }
    arguments.addAll(List.of("--class", SparkConnectServer.class.getName(), "spark-internal"));
    return JavaProcess.of("org.apache.spark.deploy.SparkSubmit", arguments.toArray(String[]::new))
        .option("-Xmx700m")
        .start(folder.resolve("server.log"));
  }

  private static void awaitStart(JavaProcess server, int port) throws InterruptedException {
    while (true) {
      assertTrue(server.isAlive(), server::output);
      try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), port)) {
        return;
      } catch (IOException e) {
        Thread.sleep(100);
      }
    }
  }

  @Test
  void testProcedureAndFunction() throws Exception {
    Path input = JobRun.prompts(folder.resolve("in.jsonl"), ROWS);
    Path output = folder.resolve("out");
    int port = LocalCluster.freePort();
    try (JavaProcess server = server(port)) {
      awaitStart(server, port);
      SparkSession client = SparkSession.builder().remote("sc://127.0.0.1:" + port).create();
      try {
        String call =
            "CALL bulkgen.system.generate(input => '%s', output => '%s', max_tokens => 1,"
                + " id_column => 'id', unit_rows => 3)";
        Row first = client.sql(call.formatted(input, output)).collectAsList().get(0);
        assertEquals((long) ROWS, first.<Long>getAs("rows_done"));
        assertEquals(2L, first.<Long>getAs("units_run"));
        Row again = client.sql(call.formatted(input, output)).collectAsList().get(0);
        assertEquals(2L, again.<Long>getAs("units_reused"));
        List<Row> texts =
            client
                .sql(
                    "SELECT id, bulkgen_generate(prompt, map('max-tokens', '1')) AS text,"
                        + " bulkgen.system.generate(prompt, map('max-tokens', '1')) AS same FROM"
                        + " json.`"
                        + input
                        + "` ORDER BY id")
                .collectAsList();
        List<Row> generated =
            Sessions.shared()
                .read()
                .parquet(output.toString())
                .selectExpr("id", "generated_text AS text", "generated_text AS same")
                .orderBy("id")
                .collectAsList();
        assertEquals(generated.toString(), texts.toString(), server::output);
        assertEquals(ROWS, texts.size());
      } finally {
        client.close();
      }
    }
    assertTrue(Files.exists(output.resolve("_SUCCESS")));
  }
}
