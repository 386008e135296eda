PRAGMA application_id = 1819045222;
PRAGMA user_version = 2;
BEGIN TRANSACTION;
CREATE TABLE answers (
        answer INTEGER PRIMARY KEY, run INTEGER NOT NULL, task INTEGER NOT NULL, attempt INTEGER NOT NULL,
        number INTEGER NOT NULL, output NOT NULL, text, messages NOT NULL, finish_reason TEXT NOT NULL,
        model TEXT NOT NULL, answered_by TEXT NOT NULL, endpoint TEXT NOT NULL, input_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL, cached_input_tokens INTEGER NOT NULL, cache_write_tokens INTEGER NOT NULL,
        reasoning_tokens INTEGER NOT NULL, usage_estimated INTEGER NOT NULL, duration REAL NOT NULL,
        first_token REAL, request_id TEXT NOT NULL, key TEXT NOT NULL, created_at REAL NOT NULL, accepted INTEGER NOT NULL DEFAULT 1,
        UNIQUE (run, task, attempt));
INSERT INTO "answers" VALUES(1,1,0,1,1,'"A"',NULL,'[{"role":"user","content":"Go to Rome"}]','stop','mock/m','m','',3,1,0,0,0,1,1.91675000678515061736e-04,NULL,'','e3cd7344e06439bfdd3cd2abfcb0e758e0126142740930b15eb7cd2e99bc8818',1.79555291062541604041e+09,1);
INSERT INTO "answers" VALUES(2,1,5,4,1,'"X"',NULL,'[{"role":"user","content":"x of A"}]','stop','mock/m','m','',2,1,0,0,0,1,1.54760000441456213593e-04,NULL,'','28c7ea15529d0e88741914556cfabd4aaf73749dc6563caabcfffa93cd92e0e6',1.79555291062718915939e+09,1);
INSERT INTO "answers" VALUES(3,1,6,5,1,'"Y"',NULL,'[{"role":"user","content":"y of A"}]','stop','mock/m','m','',2,1,0,0,0,1,5.63940011488739401102e-05,NULL,'','0e1956d0c2554962f48f5f52fa7a8caa1970871b02ba1411aebf47031a313bf6',1.79555291062732338904e+09,1);
INSERT INTO "answers" VALUES(4,1,7,6,1,'"Z"',NULL,'[{"role":"user","content":"z of A"}]','stop','mock/m','m','',2,1,0,0,0,1,4.33140012319199740886e-05,NULL,'','f82dbf9f574ff8c9d09ee0c7195a50f19a2db4835439de054b89359f60f308de',1.79555291062740159037e+09,1);
INSERT INTO "answers" VALUES(5,1,3,7,1,'"B"',NULL,'[{"role":"user","content":"two A"}]','stop','mock/m','m','',1,1,0,0,0,1,1.8383399947197176516e-04,NULL,'','9fa69b8dec295d7f0941482b2b60b2217d1f2ae4acd948aba89bfb025b853b58',1.79555291063035821911e+09,1);
INSERT INTO "answers" VALUES(6,1,4,8,1,'"C"',NULL,'[{"role":"user","content":"three B"}]','stop','mock/m','m','',2,1,0,0,0,1,1.95370997971622273325e-04,NULL,'','c20dc136a60530bb39ee3f8041737fa96b80476a9681f032ec2c8086c34ce2ae',1.79555291063462805749e+09,1);
INSERT INTO "answers" VALUES(7,2,0,1,1,'"A"',NULL,'[{"role":"user","content":"Go to Rome"}]','stop','mock/m','m','',3,1,0,0,0,1,2.49480999627849087119e-04,NULL,'','e3cd7344e06439bfdd3cd2abfcb0e758e0126142740930b15eb7cd2e99bc8818',1.79555291362268280982e+09,1);
INSERT INTO "answers" VALUES(8,2,5,4,1,'"X"',NULL,'[{"role":"user","content":"x of A"}]','stop','mock/m','m','',2,1,0,0,0,1,1.7472000035922974348e-04,NULL,'','28c7ea15529d0e88741914556cfabd4aaf73749dc6563caabcfffa93cd92e0e6',1.79555291362640380859e+09,1);
INSERT INTO "answers" VALUES(9,2,6,5,1,'"Y"',NULL,'[{"role":"user","content":"y of A"}]','stop','mock/m','m','',2,1,0,0,0,1,5.67639981454703956842e-05,NULL,'','0e1956d0c2554962f48f5f52fa7a8caa1970871b02ba1411aebf47031a313bf6',1.79555291362654638291e+09,1);
INSERT INTO "answers" VALUES(10,2,7,6,1,'"Z"',NULL,'[{"role":"user","content":"z of A"}]','stop','mock/m','m','',2,1,0,0,0,1,4.40650001110043376684e-05,NULL,'','f82dbf9f574ff8c9d09ee0c7195a50f19a2db4835439de054b89359f60f308de',1.79555291362662625314e+09,1);
INSERT INTO "answers" VALUES(11,3,0,1,1,'"A"',NULL,'[{"role":"user","content":"Go to Rome"}]','stop','mock/m','m','',3,1,0,0,0,1,3.14618999254889786243e-04,NULL,'','e3cd7344e06439bfdd3cd2abfcb0e758e0126142740930b15eb7cd2e99bc8818',1.79555291624983096119e+09,1);
INSERT INTO "answers" VALUES(12,3,5,4,1,'"X"',NULL,'[{"role":"user","content":"x of A"}]','stop','mock/m','m','',2,1,0,0,0,1,3.18864000291796401143e-04,NULL,'','28c7ea15529d0e88741914556cfabd4aaf73749dc6563caabcfffa93cd92e0e6',1.7955529162668294906e+09,1);
INSERT INTO "answers" VALUES(13,3,6,5,1,'"Y"',NULL,'[{"role":"user","content":"y of A"}]','stop','mock/m','m','',2,1,0,0,0,1,9.15860000532120466232e-05,NULL,'','0e1956d0c2554962f48f5f52fa7a8caa1970871b02ba1411aebf47031a313bf6',1.79555291626707220079e+09,1);
INSERT INTO "answers" VALUES(14,3,7,6,1,'"Z"',NULL,'[{"role":"user","content":"z of A"}]','stop','mock/m','m','',2,1,0,0,0,1,8.08200020401272922754e-05,NULL,'','f82dbf9f574ff8c9d09ee0c7195a50f19a2db4835439de054b89359f60f308de',1.79555291626721072201e+09,1);
CREATE TABLE events (
        run INTEGER NOT NULL, seq INTEGER NOT NULL, kind INTEGER NOT NULL, at REAL NOT NULL,
        f1, f2, f3, f4, f5, f6, f7, PRIMARY KEY (run, seq)) WITHOUT ROWID;
INSERT INTO "events" VALUES(1,1,1,3.44020008924417197704e-05,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,2,11,3.44020008924417197704e-05,0,1,1,0,0,0,0);
INSERT INTO "events" VALUES(1,3,3,1.52034300117520615458e-03,0,1,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,4,14,1.52034300117520615458e-03,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,5,11,1.52034300117520615458e-03,1,2,1,-1,0,0,0);
INSERT INTO "events" VALUES(1,6,11,1.52034300117520615458e-03,2,3,1,-1,0,0,0);
INSERT INTO "events" VALUES(1,7,3,1.64905500059830956161e-03,1,2,'expand',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,8,3,1.67447299827472306787e-03,2,3,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,9,14,1.67447299827472306787e-03,2,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,10,6,1.87697399815078824758e-03,1,5,3,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,11,7,1.88898199849063530564e-03,1,'',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,12,11,1.88898199849063530564e-03,5,4,1,0,0,0,0);
INSERT INTO "events" VALUES(1,13,11,1.88898199849063530564e-03,6,5,1,0,0,1,0);
INSERT INTO "events" VALUES(1,14,11,1.88898199849063530564e-03,7,6,1,0,0,2,0);
INSERT INTO "events" VALUES(1,15,3,3.28308700045454315841e-03,5,4,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,16,14,3.28308700045454315841e-03,5,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,17,3,3.38540899974759668111e-03,6,5,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,18,14,3.38540899974759668111e-03,6,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,19,3,3.4608610003488138318e-03,7,6,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,20,14,3.4608610003488138318e-03,7,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,21,14,3.4608610003488138318e-03,1,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,22,11,3.4608610003488138318e-03,3,7,1,0,0,0,0);
INSERT INTO "events" VALUES(1,23,3,6.45450700176297686994e-03,3,7,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,24,14,6.45450700176297686994e-03,3,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,25,11,6.45450700176297686994e-03,4,8,1,0,0,0,0);
INSERT INTO "events" VALUES(1,26,3,1.07268460014893207699e-02,4,8,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,27,14,1.07268460014893207699e-02,4,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,28,20,1.07268460014893207699e-02,'succeeded',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,1,1,3.62339997082017362117e-05,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,2,11,3.62339997082017362117e-05,0,1,1,0,0,0,0);
INSERT INTO "events" VALUES(2,3,3,0.017899471000419,0,1,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,4,14,0.017899471000419,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,5,11,0.017899471000419,1,2,1,-1,0,0,0);
INSERT INTO "events" VALUES(2,6,11,0.017899471000419,2,3,1,-1,0,0,0);
INSERT INTO "events" VALUES(2,7,3,1.80896540005051065236e-02,1,2,'expand',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,8,3,1.81206609995570033788e-02,2,3,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,9,14,1.81206609995570033788e-02,2,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,10,6,1.83628209997550584375e-02,1,5,3,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,11,7,0.0183775829973456,1,'',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,12,11,0.0183775829973456,5,4,1,0,0,0,0);
INSERT INTO "events" VALUES(2,13,11,0.0183775829973456,6,5,1,0,0,1,0);
INSERT INTO "events" VALUES(2,14,11,0.0183775829973456,7,6,1,0,0,2,0);
INSERT INTO "events" VALUES(2,15,3,2.16052069990837480872e-02,5,4,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,16,14,2.16052069990837480872e-02,5,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,17,3,2.17115949999424628913e-02,6,5,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,18,14,2.17115949999424628913e-02,6,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,19,3,2.17886499995074700564e-02,7,6,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,20,14,2.17886499995074700564e-02,7,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,21,14,2.17886499995074700564e-02,1,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,22,11,2.17886499995074700564e-02,3,7,1,0,0,0,0);
INSERT INTO "events" VALUES(2,23,4,2.54163389981840737164e-02,3,7,'server','a scripted failure of the task ''b''',NULL,1,NULL);
INSERT INTO "events" VALUES(2,24,15,2.54163389981840737164e-02,3,'server','a scripted failure of the task ''b''',0,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,25,17,2.54163389981840737164e-02,4,3,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,26,20,2.54163389981840737164e-02,'failed',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,1,1,4.67390018457081168889e-05,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,2,11,4.67390018457081168889e-05,0,1,1,0,0,0,0);
INSERT INTO "events" VALUES(3,3,3,1.35809540006448514759e-02,0,1,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,4,14,1.35809540006448514759e-02,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,5,11,1.35809540006448514759e-02,1,2,1,-1,0,0,0);
INSERT INTO "events" VALUES(3,6,11,1.35809540006448514759e-02,2,3,1,-1,0,0,0);
INSERT INTO "events" VALUES(3,7,3,1.78606640001817140728e-02,1,2,'expand',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,8,3,1.79460610015667043626e-02,2,3,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,9,14,1.79460610015667043626e-02,2,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,10,6,1.84159900018130429089e-02,1,5,3,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,11,7,1.84496900001249741762e-02,1,'',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,12,11,1.84496900001249741762e-02,5,4,1,0,0,0,0);
INSERT INTO "events" VALUES(3,13,11,1.84496900001249741762e-02,6,5,1,0,0,1,0);
INSERT INTO "events" VALUES(3,14,11,1.84496900001249741762e-02,7,6,1,0,0,2,0);
INSERT INTO "events" VALUES(3,15,3,3.05638110003201290965e-02,5,4,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,16,14,3.05638110003201290965e-02,5,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,17,3,3.07379600017156917601e-02,6,5,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,18,14,3.07379600017156917601e-02,6,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,19,3,3.08762660024513024836e-02,7,6,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,20,14,3.08762660024513024836e-02,7,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,21,14,3.08762660024513024836e-02,1,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,22,11,3.08762660024513024836e-02,3,7,1,0,0,0,0);
CREATE TABLE kinds (kind INTEGER PRIMARY KEY, name TEXT NOT NULL, fields TEXT NOT NULL, UNIQUE (name, fields));
INSERT INTO "kinds" VALUES(1,'RunStarted','["at"]');
INSERT INTO "kinds" VALUES(2,'RunResumed','["at"]');
INSERT INTO "kinds" VALUES(3,'AttemptSucceeded','["at", "task", "attempt", "outcome"]');
INSERT INTO "kinds" VALUES(4,'AttemptFailed','["at", "task", "attempt", "kind", "detail", "retry_after", "retryable"]');
INSERT INTO "kinds" VALUES(5,'AttemptCancelled','["at", "task", "attempt", "reason"]');
INSERT INTO "kinds" VALUES(6,'TasksAdded','["at", "parent", "first", "size"]');
INSERT INTO "kinds" VALUES(7,'ItemsClosed','["at", "parent", "problem"]');
INSERT INTO "kinds" VALUES(8,'TimerFired','["at", "timer"]');
INSERT INTO "kinds" VALUES(9,'ApprovalGiven','["at", "task", "approved", "comment"]');
INSERT INTO "kinds" VALUES(10,'StopRequested','["at", "reason", "mode"]');
INSERT INTO "kinds" VALUES(11,'AttemptStarted','["at", "task", "attempt", "number", "pool", "endpoint", "worker", "candidate"]');
INSERT INTO "kinds" VALUES(12,'TimerSet','["at", "timer", "task", "due", "cause"]');
INSERT INTO "kinds" VALUES(13,'CancelRequested','["at", "task", "attempt"]');
INSERT INTO "kinds" VALUES(14,'TaskSucceeded','["at", "task"]');
INSERT INTO "kinds" VALUES(15,'TaskFailed','["at", "task", "kind", "detail", "accepted"]');
INSERT INTO "kinds" VALUES(16,'TaskSkipped','["at", "task"]');
INSERT INTO "kinds" VALUES(17,'TaskBlocked','["at", "task", "cause"]');
INSERT INTO "kinds" VALUES(18,'TaskCancelled','["at", "task", "reason"]');
INSERT INTO "kinds" VALUES(19,'RunPaused','["at", "reason"]');
INSERT INTO "kinds" VALUES(20,'RunFinished','["at", "status"]');
CREATE TABLE runs (
        run INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, pipeline TEXT NOT NULL, path TEXT NOT NULL,
        source TEXT NOT NULL REFERENCES sources (sha256), started_at REAL NOT NULL, policy TEXT NOT NULL,
        workers INTEGER, seed INTEGER NOT NULL, inputs NOT NULL, options NOT NULL, pools NOT NULL, forecast,
        version TEXT NOT NULL, status TEXT NOT NULL, finished_at REAL, makespan REAL, summary);
INSERT INTO "runs" VALUES(1,'01M87MP78622BGWBKQWF0SWY0W','upgraded','@FOLDER@/p.yaml','a4b7f95505c6df3123e9ff1bad37ec9c46f98bc4cf50b961762634c0341df4d0',1.79555291059822463989e+09,'stochastic',NULL,0,'{"place":"Rome"}','{"inputs":[],"workers":null,"policy":null,"models":[],"fail_fast":false,"only":[],"start":[],"until":[]}','[["mock",null,[]]]','{"decision":{"order":"critical-path","reason":"there is a worker for every task: the order does not matter","samples":0,"evidence":[]}}','0.1.0','succeeded',1.79555291064575672146e+09,1.07268460014893207699e-02,'{"schema":"llmflow.run/1","run":"01M87MP78622BGWBKQWF0SWY0W","status":"succeeded","outputs":{"all":"A! X Y Z C"},"makespan":0.01072684600148932,"lower_bound":0.01032380500328145,"lower_bound_kind":"critical path","ratio":1.039039966182988,"fifo_makespan":0.01032380500328145,"critical_path":["a","each[z]","each","b","c"],"pools":[{"name":"mock","workers":null,"busy":0.013214337006502319,"utilisation":0.41063132644543215,"used":[{"worker":0,"busy":0.01014603100338718,"utilisation":0.9458540750914574},{"worker":1,"busy":0.0014964270012569614,"utilisation":0.13950298168251848},{"worker":2,"busy":0.0015718790018581785,"utilisation":0.14653692256232057}]}],"tasks":{"a":{"status":"succeeded","attempts":1,"duration":0.0014859410002827644,"started":3.440200089244172e-05,"finished":0.0015203430011752062,"usage":{"input_tokens":3,"output_tokens":1,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}},"each":{"status":"succeeded","attempts":3,"duration":0.004462411005079048,"started":0.0015203430011752062,"finished":0.003460861000348814,"items":{"succeeded":3},"usage":{"input_tokens":6,"output_tokens":3,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}},"shape":{"status":"succeeded","attempts":1,"duration":0.0,"started":0.0015203430011752062,"finished":0.001674472998274723},"b":{"status":"succeeded","attempts":1,"duration":0.002993646001414163,"started":0.003460861000348814,"finished":0.006454507001762977,"usage":{"input_tokens":1,"output_tokens":1,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}},"c":{"status":"succeeded","attempts":1,"duration":0.004272338999726344,"started":0.006454507001762977,"finished":0.01072684600148932,"usage":{"input_tokens":2,"output_tokens":1,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}}},"usage":{"input_tokens":12,"output_tokens":6,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true},"cost_usd":null}');
INSERT INTO "runs" VALUES(2,'01M87MPA4EH8JSGTC715J27X6V','upgraded','@FOLDER@/p.yaml','5f7760406197f72efcad682a2cef85c1ee73cf31375cbbda64a71cb952b15e52',1.79555291355084133153e+09,'stochastic',NULL,0,'{"place":"Rome"}','{"inputs":[],"workers":null,"policy":null,"models":[],"fail_fast":false,"only":[],"start":[],"until":[]}','[["mock",null,[]]]','{"makespan":0.0006557026657295257,"samples":0,"p10":null,"p50":null,"p90":null,"decision":{"order":"critical-path","reason":"there is a worker for every task: the order does not matter","samples":0,"evidence":[]}}','0.1.0','failed',1.7955529136553361416e+09,2.54163389981840737164e-02,'{"schema":"llmflow.run/1","run":"01M87MPA4EH8JSGTC715J27X6V","status":"failed","outputs":{"all":null},"makespan":0.025416338998184074,"lower_bound":0.024901993001549272,"lower_bound_kind":"critical path","ratio":1.0206548125125086,"fifo_makespan":0.024901993001549272,"critical_path":["a","each[z]","each","b"],"pools":[{"name":"mock","workers":null,"busy":0.031463629005884286,"utilisation":0.4126430771970775,"used":[{"worker":0,"busy":0.02471855000112555,"utilisation":0.9725456527351016},{"worker":1,"busy":0.0033340120025968645,"utilisation":0.1311759338288284},{"worker":2,"busy":0.0034110670021618716,"utilisation":0.13420764502730242}]}],"tasks":{"a":{"status":"succeeded","attempts":1,"duration":0.017863237000710797,"started":3.6233999708201736e-05,"finished":0.017899471000419,"usage":{"input_tokens":3,"output_tokens":1,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}},"each":{"status":"succeeded","attempts":3,"duration":0.009972703006496886,"started":0.017899471000419,"finished":0.02178864999950747,"items":{"succeeded":3},"usage":{"input_tokens":6,"output_tokens":3,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}},"shape":{"status":"succeeded","attempts":1,"duration":0.0,"started":0.017899471000419,"finished":0.018120660999557003},"b":{"status":"failed","attempts":1,"duration":0.0036276889986766037,"started":0.02178864999950747,"finished":0.025416338998184074,"error":{"kind":"server","detail":"a scripted failure of the task ''b''","accepted":false}},"c":{"status":"blocked","attempts":0,"duration":0.0,"started":null,"finished":0.025416338998184074}},"usage":{"input_tokens":9,"output_tokens":4,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true},"cost_usd":null}');
INSERT INTO "runs" VALUES(3,'01M87MPCJSQ19QMJH01GYZPJZN','upgraded','@FOLDER@/p.yaml','b66611ac6d4a364a3278fd9a2d502349808e6e7e5d51f1154aae5b5c3818a7ba',1.79555291605725598331e+09,'stochastic',NULL,0,'{"place":"Rome"}','{"inputs":[],"workers":null,"policy":null,"models":[],"fail_fast":false,"only":[],"start":[],"until":[]}','[["mock",null,[]]]','{"makespan":0.000688119164503102,"samples":0,"p10":null,"p50":null,"p90":null,"decision":{"order":"critical-path","reason":"there is a worker for every task: the order does not matter","samples":0,"evidence":[]}}','0.1.0','running',NULL,NULL,NULL);
CREATE TABLE samples (
        sample INTEGER PRIMARY KEY, series INTEGER NOT NULL, run INTEGER NOT NULL, item TEXT, number INTEGER NOT NULL,
        outcome TEXT NOT NULL, duration REAL NOT NULL, started_at REAL NOT NULL, concurrency INTEGER NOT NULL,
        prompt_chars INTEGER, input_tokens INTEGER, output_tokens INTEGER, first_token REAL);
INSERT INTO "samples" VALUES(1,1,1,NULL,1,'succeeded',1.91675000678515061736e-04,1.79555291059946894646e+09,1,10,3,1,NULL);
INSERT INTO "samples" VALUES(2,2,1,'x',1,'succeeded',1.54760000441456213593e-04,1.79555291060128307343e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(3,2,1,'y',1,'succeeded',5.63940011488739401102e-05,1.79555291060152697564e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(4,2,1,'z',1,'succeeded',4.33140012319199740886e-05,1.79555291060161828996e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(5,3,1,NULL,1,'succeeded',1.8383399947197176516e-04,1.7955529106044249535e+09,1,5,1,1,NULL);
INSERT INTO "samples" VALUES(6,4,1,NULL,1,'succeeded',1.95370997971622273325e-04,1.79555291060867643353e+09,1,7,2,1,NULL);
INSERT INTO "samples" VALUES(7,1,2,NULL,1,'succeeded',2.49480999627849087119e-04,1.7955529135683903694e+09,1,10,3,1,NULL);
INSERT INTO "samples" VALUES(8,2,2,'x',1,'succeeded',1.7472000035922974348e-04,1.7955529135721960068e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(9,2,2,'y',1,'succeeded',5.67639981454703956842e-05,1.7955529135724670887e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(10,2,2,'z',1,'succeeded',4.40650001110043376684e-05,1.79555291357256126402e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(11,3,2,NULL,1,'server',3.62768899867660365998e-03,1795552913.57263,1,NULL,NULL,NULL,NULL);
INSERT INTO "samples" VALUES(12,1,3,NULL,1,'succeeded',3.14618999254889786243e-04,1.79555291607036781307e+09,1,10,3,1,NULL);
INSERT INTO "samples" VALUES(13,2,3,'x',1,'succeeded',3.18864000291796401143e-04,1.79555291608736324309e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(14,2,3,'y',1,'succeeded',9.15860000532120466232e-05,1.79555291608785724637e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(15,2,3,'z',1,'succeeded',8.08200020401272922754e-05,1.79555291608800792696e+09,1,6,2,1,NULL);
CREATE TABLE series (
        series INTEGER PRIMARY KEY, pipeline TEXT NOT NULL, task TEXT NOT NULL, model TEXT NOT NULL,
        kind TEXT NOT NULL, endpoint TEXT NOT NULL, template TEXT NOT NULL,
        UNIQUE (pipeline, task, model, kind, endpoint, template));
INSERT INTO "series" VALUES(1,'upgraded','a','mock/m','mock','','9c71a22fa74c1630');
INSERT INTO "series" VALUES(2,'upgraded','each','mock/m','mock','','3487dfd31346058f');
INSERT INTO "series" VALUES(3,'upgraded','b','mock/m','mock','','07ad79748e7a8a05');
INSERT INTO "series" VALUES(4,'upgraded','c','mock/m','mock','','da24b599fabd6b78');
CREATE TABLE sources (sha256 TEXT PRIMARY KEY, text NOT NULL) WITHOUT ROWID;
INSERT INTO "sources" VALUES('5f7760406197f72efcad682a2cef85c1ee73cf31375cbbda64a71cb952b15e52','name: upgraded
inputs: {place: {default: Rome}}
providers: {mock: {answers: {a: A, "each[x]": X, "each[y]": Y, "each[z]": Z, b: {error: server}, c: C}}}
defaults: {model: mock/m, retry: {max_attempts: 1}}
tasks:
  a: {prompt: "Go to {{ inputs.place }}"}
  each: {foreach: {items: [x, y, z], key: "{{ item }}"}, prompt: "{{ item }} of {{ tasks.a.output }}"}
  shape: {value: "{{ tasks.a.output }}!"}
  b: {prompt: "two {{ tasks.a.output }}", depends_on: each}
  c: {prompt: "three {{ tasks.b.output }}"}
outputs: {all: "{{ tasks.shape.output }} {{ tasks.each.outputs | join('' '') }} {{ tasks.c.output }}"}
');
INSERT INTO "sources" VALUES('a4b7f95505c6df3123e9ff1bad37ec9c46f98bc4cf50b961762634c0341df4d0','name: upgraded
inputs: {place: {default: Rome}}
providers: {mock: {answers: {a: A, "each[x]": X, "each[y]": Y, "each[z]": Z, b: B, c: C}}}
defaults: {model: mock/m, retry: {max_attempts: 1}}
tasks:
  a: {prompt: "Go to {{ inputs.place }}"}
  each: {foreach: {items: [x, y, z], key: "{{ item }}"}, prompt: "{{ item }} of {{ tasks.a.output }}"}
  shape: {value: "{{ tasks.a.output }}!"}
  b: {prompt: "two {{ tasks.a.output }}", depends_on: each}
  c: {prompt: "three {{ tasks.b.output }}"}
outputs: {all: "{{ tasks.shape.output }} {{ tasks.each.outputs | join('' '') }} {{ tasks.c.output }}"}
');
INSERT INTO "sources" VALUES('b66611ac6d4a364a3278fd9a2d502349808e6e7e5d51f1154aae5b5c3818a7ba','name: upgraded
inputs: {place: {default: Rome}}
providers: {mock: {answers: {a: A, "each[x]": X, "each[y]": Y, "each[z]": Z, b: {text: B, delay: 60}, c: C}}}
defaults: {model: mock/m, retry: {max_attempts: 1}}
tasks:
  a: {prompt: "Go to {{ inputs.place }}"}
  each: {foreach: {items: [x, y, z], key: "{{ item }}"}, prompt: "{{ item }} of {{ tasks.a.output }}"}
  shape: {value: "{{ tasks.a.output }}!"}
  b: {prompt: "two {{ tasks.a.output }}", depends_on: each}
  c: {prompt: "three {{ tasks.b.output }}"}
outputs: {all: "{{ tasks.shape.output }} {{ tasks.each.outputs | join('' '') }} {{ tasks.c.output }}"}
');
CREATE TABLE tasks (
        run INTEGER NOT NULL, task INTEGER NOT NULL, name TEXT NOT NULL, item TEXT, kind TEXT NOT NULL,
        model TEXT NOT NULL, dependencies TEXT NOT NULL, PRIMARY KEY (run, task)) WITHOUT ROWID;
INSERT INTO "tasks" VALUES(1,0,'a',NULL,'model','mock/m','[]');
INSERT INTO "tasks" VALUES(1,1,'each',NULL,'foreach','','[0]');
INSERT INTO "tasks" VALUES(1,2,'shape',NULL,'value','','[0]');
INSERT INTO "tasks" VALUES(1,3,'b',NULL,'model','mock/m','[0, 1]');
INSERT INTO "tasks" VALUES(1,4,'c',NULL,'model','mock/m','[3]');
INSERT INTO "tasks" VALUES(1,5,'each','x','model','mock/m','[]');
INSERT INTO "tasks" VALUES(1,6,'each','y','model','mock/m','[]');
INSERT INTO "tasks" VALUES(1,7,'each','z','model','mock/m','[]');
INSERT INTO "tasks" VALUES(2,0,'a',NULL,'model','mock/m','[]');
INSERT INTO "tasks" VALUES(2,1,'each',NULL,'foreach','','[0]');
INSERT INTO "tasks" VALUES(2,2,'shape',NULL,'value','','[0]');
INSERT INTO "tasks" VALUES(2,3,'b',NULL,'model','mock/m','[0, 1]');
INSERT INTO "tasks" VALUES(2,4,'c',NULL,'model','mock/m','[3]');
INSERT INTO "tasks" VALUES(2,5,'each','x','model','mock/m','[]');
INSERT INTO "tasks" VALUES(2,6,'each','y','model','mock/m','[]');
INSERT INTO "tasks" VALUES(2,7,'each','z','model','mock/m','[]');
INSERT INTO "tasks" VALUES(3,0,'a',NULL,'model','mock/m','[]');
INSERT INTO "tasks" VALUES(3,1,'each',NULL,'foreach','','[0]');
INSERT INTO "tasks" VALUES(3,2,'shape',NULL,'value','','[0]');
INSERT INTO "tasks" VALUES(3,3,'b',NULL,'model','mock/m','[0, 1]');
INSERT INTO "tasks" VALUES(3,4,'c',NULL,'model','mock/m','[3]');
INSERT INTO "tasks" VALUES(3,5,'each','x','model','mock/m','[]');
INSERT INTO "tasks" VALUES(3,6,'each','y','model','mock/m','[]');
INSERT INTO "tasks" VALUES(3,7,'each','z','model','mock/m','[]');
CREATE INDEX runs_of_pipeline ON runs (pipeline, started_at);
CREATE INDEX answers_by_key ON answers (key) WHERE key <> '';
CREATE INDEX series_of_model ON series (model);
CREATE INDEX samples_of_series ON samples (series, outcome, started_at);
COMMIT;
